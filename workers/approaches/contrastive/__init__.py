"""Contrastive: tokens of one kind together, those of the other apart

Hypothesis: where the kinds lie apart in the embedding, attention tells them apart. A term in the loss draws all tokens
of one kind of a clip together, and pushes mixed pairs below a margin.
"""
