"""Human3.6M poses with HRNet detections, read from the authors' merged pickles."""
