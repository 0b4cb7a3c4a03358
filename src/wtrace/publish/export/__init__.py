"""A race's curves for other tools: one module for each form, and one for what they all show."""
