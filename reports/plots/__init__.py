"""Plots of studies: drawn from plain results with matplotlib, told apart without colour, labelled with units.

Each module draws one kind of plot from data of its own and returns a matplotlib figure; `style.save` writes it as PNG
and SVG. Nothing here touches matplotlib's global state.
"""
