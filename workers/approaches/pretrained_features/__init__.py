"""Pre-trained features: look with a frozen ResNet-18

Hypothesis: whoever knows an object again attends to what stays. Crops go through a ResNet-18 that was trained on other
pictures, by ImageNet or by self-supervision, and only what follows it is trained; nothing but right classes is asked for.
"""
