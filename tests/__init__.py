"""Tests, in the same rooms as the code. (A package, so that no installed `tests` is taken for it.)"""
