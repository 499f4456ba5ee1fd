"""Errors, results and type names: the layer that everything else stands on."""
