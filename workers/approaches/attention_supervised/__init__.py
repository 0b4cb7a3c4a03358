"""Attention supervision: tell the network where to look

Hypothesis: attention follows what it is asked for. A term in the loss takes the attention that transient tokens
receive beyond persistent ones, in the last layer and with a cap on what can be gained, and asks for less of it.
"""
