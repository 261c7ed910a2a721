"""Pictures, videos, boxes and keypoints as people's files hold them."""
