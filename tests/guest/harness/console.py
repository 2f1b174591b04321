# SPDX-License-Identifier: MIT
"""The kernel's text console against a picture of it: is what is written also what is drawn?"""


def rows_written(rows):
    return [number for number, row in enumerate(rows) if row.strip()]


def rows_lit(picture, rows, font_height=16):
    """The text rows with any ink, the cursor's underline in an empty row apart."""
    lit = []
    for number, row in enumerate(rows):
        ink = picture.lit(0, number * font_height, picture.width, font_height)
        if ink > (0 if row.strip() else 32):
            lit.append(number)
    return lit
