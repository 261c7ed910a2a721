"""BlazePose: people and their heatmaps, by networks that a public package ships."""
