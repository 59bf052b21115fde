"""What a trained network says of photographs, and where it looks."""
