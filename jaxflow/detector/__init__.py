"""The 2D detector: from a picture of a person to joint heatmaps.

picture = pictures.read("photo.jpg")
square = crop.from_box((left, top, width, height))
maps = detector.load("runs/hrnet").detect(warp.crops(picture, square))
fits = jaxflow.fit_gaussians(maps, decode.dark(maps).place)
pixels = crop.heatmap_to_image(fits.mean, square)
"""

from jaxflow.detector.network.loading import Detector, load

__all__ = ["Detector", "load"]
