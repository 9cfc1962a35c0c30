// Depthwise convolutions of K x K pixels.

#pragma once

#include <ATen/ATen.h>

#include "channels.h"

namespace {

// An image with zeros around it; rows are `row` values apart, V of which lie behind the last pixel.
struct Padded {
  int size, channels, radius, row;
  Padded(int size, int channels, int radius, int width)
      : size(size), channels(channels), radius(radius), row((size + 2 * radius) * channels + width) {}
  size_t values() const { return size_t(size + 2 * radius) * row + 64; }
  int at(int y) const { return (y + radius) * row + radius * channels; }
};

// Weights [C, K, K] as K * K rows, V values behind each; flipped for the gradient of the input.
template <typename T> std::vector<T> taps(const Tensor& weight, int kernel, bool flipped) {
  int channels = weight.size(0), count = kernel * kernel, row = channels + WIDTH<Vector<T>>;
  const T* from = weight.data_ptr<T>();
  std::vector<T> to(size_t(count) * row);
  for (int tap = 0; tap < count; tap++)
    for (int c = 0; c < channels; c++) to[tap * row + c] = from[c * count + (flipped ? count - 1 - tap : tap)];
  return to;
}

// The functions below go over M neighbours in a row at once, so that a value that is loaded serves all of them that see
// it. Their loops over M and K are unrolled, for sums to stay in registers.
constexpr int NEIGHBOURS = 4;

// M pixels of the output, some of their channels.
template <typename Vec, int K, int STRIDE, int M, typename T>
inline void depthwise_pixels(const T* in, const Padded& shape, const Vec (&weight)[K * K], T* out) {
  Vec sum[M] = {};
#pragma GCC unroll 8
  for (int row = 0; row < K; row++)
#pragma GCC unroll 16
    for (int i = 0; i < STRIDE * (M - 1) + K; i++) {
      Vec value = load_as<Vec>(in + row * shape.row + i * shape.channels);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++)
        if (i - STRIDE * m >= 0 && i - STRIDE * m < K) sum[m] += value * weight[row * K + i - STRIDE * m];
    }
#pragma GCC unroll 8
  for (int m = 0; m < M; m++) store(out + m * shape.channels, sum[m]);
}

// out [side * side, C] = the depthwise convolution of a padded image, from the pixel `in` on.
template <typename T, int K, int STRIDE>
void depthwise(const T* in, const Padded& shape, const T* weights, int side, T* out) {
  int channels = shape.channels, step = STRIDE * channels;
  for (int y = 0; y < side; y++)
    for_channels<T>(channels, [&](int c, int, auto vector) {
      using Vec = decltype(vector);
      Vec weight[K * K];
#pragma GCC unroll 25
      for (int tap = 0; tap < K * K; tap++)
        weight[tap] = load_as<Vec>(weights + tap * (channels + WIDTH<Vector<T>>) + c);
      const T* from = in + y * STRIDE * shape.row + c;
      T* to = out + y * side * channels + c;
      int x = 0;
      for (; x + NEIGHBOURS <= side; x += NEIGHBOURS)
        depthwise_pixels<Vec, K, STRIDE, NEIGHBOURS>(from + x * step, shape, weight, to + x * channels);
      for (; x < side; x++) depthwise_pixels<Vec, K, STRIDE, 1>(from + x * step, shape, weight, to + x * channels);
    });
}

// Adds what M pixels of the output give the gradients of the weights.
template <typename Vec, int K, int STRIDE, int M, typename T>
inline void gradient_pixels(const T* in, const T* gradient, const Padded& shape, Vec (&sum)[K * K]) {
  Vec dy[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++) dy[m] = load_as<Vec>(gradient + m * STRIDE * shape.channels);
#pragma GCC unroll 8
  for (int row = 0; row < K; row++)
#pragma GCC unroll 16
    for (int i = 0; i < STRIDE * (M - 1) + K; i++) {
      Vec value = load_as<Vec>(in + row * shape.row + i * shape.channels);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++)
        if (i - STRIDE * m >= 0 && i - STRIDE * m < K) sum[row * K + i - STRIDE * m] += value * dy[m];
    }
}

// sum [K * K, C] += the gradient of the weights, from the padded input and the padded gradient of the output.
template <typename T, int K, int STRIDE>
void add_depthwise_gradient(const T* in, const T* gradient, const Padded& shape, int side, double* sum) {
  int channels = shape.channels, step = STRIDE * channels;
  for_channels<T>(channels, [&](int c, int done, auto vector) {
    using Vec = decltype(vector);
    Vec part[K * K] = {};
    for (int y = 0; y < side; y++) {
      const T *from = in + y * STRIDE * shape.row + c, *dy = gradient + y * STRIDE * shape.row + c;
      int x = 0;
      for (; x + NEIGHBOURS <= side; x += NEIGHBOURS)
        gradient_pixels<Vec, K, STRIDE, NEIGHBOURS>(from + x * step, dy + x * step, shape, part);
      for (; x < side; x++) gradient_pixels<Vec, K, STRIDE, 1>(from + x * step, dy + x * step, shape, part);
    }
    for (int tap = 0; tap < K * K; tap++) add_to(sum + tap * channels + done, part[tap], done - c, WIDTH<Vec>);
  });
}

// The gradient of the weights [C, K, K], from its sums.
template <typename T> at::Tensor depthwise_gradient(const std::vector<double>& sum, const at::Tensor& like) {
  at::Tensor result = at::empty_like(like);
  int channels = like.size(0), count = sum.size() / channels;
  for (int c = 0; c < channels; c++)
    for (int tap = 0; tap < count; tap++) result.data_ptr<T>()[c * count + tap] = T(sum[tap * channels + c]);
  return result;
}

}  // namespace
