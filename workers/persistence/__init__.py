"""Does a transformer's attention tell persistent objects from transient ones? Data, model, losses, judge, trainer."""
