"""The geometry of a face: five landmarks, and the similarity transform that brings them to their places."""
