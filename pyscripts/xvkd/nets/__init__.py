"""Networks: teachers, students, pooling, and the levels that they name."""
