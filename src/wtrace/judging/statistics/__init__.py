"""The statistics of the verdict, each with its formula and source. The only pure place that uses numpy and scipy.

Of scipy it uses `scipy.special` alone: `scipy.stats` takes most of a second to import, and the first check of a race
would wait for it. The tests hold the functions against `scipy.stats`.
"""
