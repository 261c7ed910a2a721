"""Human3.6M poses with HRNet detections, read from any of three forms (``forms``)."""
