"""What the results say: which networks are better, and whether that exceeds the noise.

`results` reads what trainings and searches have left, `comparison` makes the rows of the tables from it, `statistics`
holds the mathematics, and `sentences` puts it into words. Begin with `comparison`. This room may import `settings`,
`spaces` and `files`, and imports torch and scipy only inside the functions that need them.
"""
