"""Sharing by definition: polynomials by powers, the secret by solving linear equations."""

PRIME = 2**31 - 1


def value_at(coefficients: list[int], x: int) -> int:
    powers = [pow(x, power, PRIME) for power in range(len(coefficients))]
    return sum(a * b for a, b in zip(coefficients, powers, strict=True)) % PRIME


def constant_term(points: list[tuple[int, int]]) -> int:
    """Solve the equations of a polynomial through the points by Gaussian elimination."""
    size = len(points)
    rows = [[pow(x, power, PRIME) for power in range(size)] + [y] for x, y in points]
    for column in range(size):
        pivot = next(row for row in range(column, size) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], PRIME - 2, PRIME)
        rows[column] = [value * inverse % PRIME for value in rows[column]]
        for row in range(size):
            if row != column:
                factor = rows[row][column]
                rows[row] = [
                    (value - factor * other) % PRIME
                    for value, other in zip(rows[row], rows[column], strict=True)
                ]
    return rows[0][size]
