// Products of matrices.

#pragma once

#include <ATen/ATen.h>

#include "vectors.h"

namespace {

// Columns in blocks of up to three vectors; what a last vector of half the length can hold is left to such a one.
// `work(first, vector, count, last)`: the first column, one of the vectors, how many, and the columns of the last one.
template <typename T, typename F> inline void for_columns(int columns, const F& work) {
  constexpr int V = WIDTH<Vector<T>>, HALF = WIDTH<Short<T>>;
  int at = 0, rest = columns % V, vectors = columns / V + (rest > HALF);
  while (vectors > 0) {
    int count = std::min(vectors, 3);
    work(at, Vector<T>{}, count, std::min(columns - at - (count - 1) * V, V));
    at += count * V;
    vectors -= count;
  }
  if (at < columns) work(at, Short<T>{}, 1, columns - at);
}

template <typename Vec, int M, int N, typename T>
inline void product_block(const T* a, int lda, int inner, const T* b, int ldb, T* out, int ldo, int last) {
  constexpr int V = WIDTH<Vec>;
  Vec sum[M][N] = {};
  for (int k = 0; k < inner; k++) {
    Vec row[N];
    for (int n = 0; n < N; n++) row[n] = load_as<Vec>(b + k * ldb + n * V);
    for (int m = 0; m < M; m++) {
      Vec value = all<Vec>(a[m * lda + k]);
      for (int n = 0; n < N; n++) sum[m][n] += value * row[n];
    }
  }
  for (int m = 0; m < M; m++) {
    for (int n = 0; n + 1 < N; n++) store(out + m * ldo + n * V, sum[m][n]);
    store_some(out + m * ldo + (N - 1) * V, sum[m][N - 1], last);
  }
}

template <typename Vec, int N, typename T>
void product_columns(const T* a, int lda, int rows, int inner, const T* b, int ldb, T* out, int ldo, int last) {
  int m = 0;
  for (; m + ROWS <= rows; m += ROWS)
    product_block<Vec, ROWS, N>(a + m * lda, lda, inner, b, ldb, out + m * ldo, ldo, last);
  for (; m + 4 <= rows; m += 4)
    product_block<Vec, 4, N>(a + m * lda, lda, inner, b, ldb, out + m * ldo, ldo, last);
  for (; m < rows; m++) product_block<Vec, 1, N>(a + m * lda, lda, inner, b, ldb, out + m * ldo, ldo, last);
}

// out [rows, columns] = a [rows, inner] b [inner, columns]; the rows of b are `ldb` apart, a multiple of V, zeros behind.
template <typename T>
void product(const T* a, int lda, int rows, int inner, const T* b, int ldb, int columns, T* out, int ldo) {
  for_columns<T>(columns, [&](int at, auto vector, int count, int last) {
    using Vec = decltype(vector);
    if (count == 3) product_columns<Vec, 3>(a, lda, rows, inner, b + at, ldb, out + at, ldo, last);
    else if (count == 2) product_columns<Vec, 2>(a, lda, rows, inner, b + at, ldb, out + at, ldo, last);
    else product_columns<Vec, 1>(a, lda, rows, inner, b + at, ldb, out + at, ldo, last);
  });
}

template <typename Vec, int M, int N, typename T>
inline void outer_block(const T* a, int lda, const T* b, int ldb, int count, double* sum, int lds, int last) {
  constexpr int V = WIDTH<Vec>;
  Vec part[M][N] = {};
  for (int p = 0; p < count; p++) {
    Vec row[N];
    for (int n = 0; n < N; n++) row[n] = load_as<Vec>(b + p * ldb + n * V);
    for (int m = 0; m < M; m++) {
      Vec value = all<Vec>(a[p * lda + m]);
      for (int n = 0; n < N; n++) part[m][n] += value * row[n];
    }
  }
  for (int m = 0; m < M; m++)
    for (int n = 0; n < N; n++) add_to(sum + m * lds + n * V, part[m][n], 0, n + 1 < N ? V : last);
}

template <typename Vec, int N, typename T>
void outer_columns(const T* a, int lda, int rows, const T* b, int ldb, int count, double* sum, int lds, int last) {
  int m = 0;
  for (; m + ROWS <= rows; m += ROWS) outer_block<Vec, ROWS, N>(a + m, lda, b, ldb, count, sum + m * lds, lds, last);
  for (; m + 4 <= rows; m += 4) outer_block<Vec, 4, N>(a + m, lda, b, ldb, count, sum + m * lds, lds, last);
  for (; m < rows; m++) outer_block<Vec, 1, N>(a + m, lda, b, ldb, count, sum + m * lds, lds, last);
}

// sum [rows, columns] += a' b over `count` pixels, a [count, rows], b [count, columns] with V readable values behind; the
// rows of all three are `lda`, `ldb` and `lds` apart.
template <typename T>
void add_outer(const T* a, int lda, int rows, const T* b, int ldb, int columns, int count, double* sum, int lds) {
  for_columns<T>(columns, [&](int at, auto vector, int vectors, int last) {
    using Vec = decltype(vector);
    if (vectors == 3) outer_columns<Vec, 3>(a, lda, rows, b + at, ldb, count, sum + at, lds, last);
    else if (vectors == 2) outer_columns<Vec, 2>(a, lda, rows, b + at, ldb, count, sum + at, lds, last);
    else outer_columns<Vec, 1>(a, lda, rows, b + at, ldb, count, sum + at, lds, last);
  });
}

// A matrix [rows, columns] (or, transposed, [columns, rows]) with rows of a multiple of V values, zeros behind.
template <typename T> std::vector<T> padded_matrix(const T* from, int rows, int columns, bool transposed) {
  int ld = rounded_up(columns, WIDTH<Vector<T>>);
  std::vector<T> to(size_t(rows) * ld);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) to[r * ld + c] = transposed ? from[c * rows + r] : from[r * columns + c];
  return to;
}

// The gradient of a matrix of weights, from its sums.
template <typename T> at::Tensor matrix_gradient(const double* sum, int rows, int columns, int ld, const at::Tensor& like) {
  at::Tensor result = at::empty_like(like);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) result.data_ptr<T>()[r * columns + c] = T(sum[r * ld + c]);
  return result;
}

}  // namespace
