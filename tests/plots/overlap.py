"""Which texts of a figure lie on each other."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg


def texts(figure):
    found = list(figure.texts)
    for legend in figure.legends:
        found += legend.get_texts()
    for axes in figure.axes:
        found += [axes.title, axes._left_title, axes._right_title, *axes.texts]
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted((low, high))
            found += [axis.label] * axis.label.get_visible()
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [label for tick in ticks for label in (tick.label1, tick.label2) if label.get_visible()]
        if axes.get_legend():
            found += axes.get_legend().get_texts()
    return [each for each in found if each.get_visible() and each.get_text().strip()]


def overlapping(figure):
    """Pairs of texts whose boxes cross, and texts that leave the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(each.get_text(), each.get_window_extent().padded(-1)) for each in texts(figure)]
    pairs = [(a, b) for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)]
    width, height = canvas.get_width_height()
    outside = [text for text, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    return pairs, outside
