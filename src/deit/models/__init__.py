"""Networks: students, teachers, their weights and position embeddings. Knows nothing of the data layer.

Every network takes RGB images in [0, 1], float, (B, 3, H, W), and resizes and normalises them itself: teacher and
student each see what they were trained on, though one batch feeds both.
"""
