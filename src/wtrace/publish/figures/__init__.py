"""The figures of a race, drawn from what was recorded. `draw.draw_all` draws them; only then is matplotlib imported."""
