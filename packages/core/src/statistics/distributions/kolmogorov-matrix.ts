/**
 * P(D < d) of Kolmogorov's one-sample statistic for n values, by the power of a matrix (Marsaglia, Tsang &
 * Wang 2003, "Evaluating Kolmogorov's distribution"). Exact to about 13 digits; work grows with (n·d)³, so
 * for small n.
 */
export function kolmogorovExactBelow(n: number, d: number): number {
  const steps = Math.floor(n * d) + 1;
  const size = 2 * steps - 1;
  const power = matrixPower(transitions(size, steps - n * d), size, n);
  let value = power.matrix[(steps - 1) * size + (steps - 1)] as number;
  let exponent = power.exponent;
  for (let index = 1; index <= n; index += 1) {
    value = (value * index) / n;
    if (value < 1e-140) {
      value *= 1e140;
      exponent -= 140;
    }
  }
  return value * 10 ** exponent;
}

function transitions(size: number, rest: number): Float64Array {
  const matrix = new Float64Array(size * size);
  const at = (row: number, column: number) => row * size + column;
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1)
      matrix[at(row, column)] = row - column + 1 < 0 ? 0 : 1;
  }
  for (let index = 0; index < size; index += 1) {
    matrix[at(index, 0)] = (matrix[at(index, 0)] as number) - rest ** (index + 1);
    matrix[at(size - 1, index)] = (matrix[at(size - 1, index)] as number) - rest ** (size - index);
  }
  const corner = at(size - 1, 0);
  if (2 * rest - 1 > 0) matrix[corner] = (matrix[corner] as number) + (2 * rest - 1) ** size;
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column <= row + 1 && column < size; column += 1) {
      for (let g = 1; g <= row - column + 1; g += 1)
        matrix[at(row, column)] = (matrix[at(row, column)] as number) / g;
    }
  }
  return matrix;
}

interface Scaled {
  readonly matrix: Float64Array;
  readonly exponent: number;
}

function matrixPower(matrix: Float64Array, size: number, n: number): Scaled {
  if (n === 1) return { matrix, exponent: 0 };
  const half = matrixPower(matrix, size, Math.floor(n / 2));
  const square = product(half.matrix, half.matrix, size);
  const whole = n % 2 === 0 ? square : product(matrix, square, size);
  return rescaled(whole, 2 * half.exponent, size);
}

function rescaled(matrix: Float64Array, exponent: number, size: number): Scaled {
  const middle = Math.floor(size / 2);
  if ((matrix[middle * size + middle] as number) <= 1e140) return { matrix, exponent };
  return { matrix: matrix.map((value) => value * 1e-140), exponent: exponent + 140 };
}

function product(a: Float64Array, b: Float64Array, size: number): Float64Array {
  const result = new Float64Array(size * size);
  for (let row = 0; row < size; row += 1) {
    for (let inner = 0; inner < size; inner += 1) {
      const factor = a[row * size + inner] as number;
      if (factor === 0) continue;
      for (let column = 0; column < size; column += 1) {
        const index = row * size + column;
        result[index] = (result[index] as number) + factor * (b[inner * size + column] as number);
      }
    }
  }
  return result;
}
