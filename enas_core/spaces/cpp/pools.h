// Pooling 3x3, stride 1.

#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "depthwise.h"
#include "maps.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// How many times 9 / pixels of a window that lie on the map: the average's factor is this over 9.
template <typename T> T share(int y, int x, int size) {
  auto seen = [size](int at) { return 3 - (at == 0) - (at == size - 1); };
  return T(9) / T(seen(y) * seen(x));
}

template <typename T> struct Pool {
  static constexpr int V = WIDTH<Vector<T>>;

  // Copies an image into a padded one whose surroundings are there already.
  static void place(const T* from, const Padded& shape, T* to) {
    int values = shape.size * shape.channels;
    for (int y = 0; y < shape.size; y++) std::memcpy(to + shape.at(y), from + y * values, values * sizeof(T));
  }
  static void scale_border(T* map, int size, int channels) {
    for (int y = 0; y < size; y++) {
      bool inner = y > 0 && y < size - 1;
      for (int x = 0; x < size; x += inner ? size - 1 : 1) {
        T factor = share<T>(y, x, size);
        for (int c = 0; c < channels; c++) map[(y * size + x) * channels + c] *= factor;
        if (size == 1) break;
      }
    }
  }
  static std::vector<T> ninth(int channels) { return std::vector<T>(9 * (channels + V), T(1) / T(9)); }

  // Of x, or (backward) of the gradient: each pixel's value over the size of its window, summed over windows.
  static void average(const Tensor& from, const Tensor& to, bool backward) {
    int size = from.size(2), channels = from.size(1), values = size * size * channels;
    Padded shape(size, channels, 1, V);
    auto weights = ninth(channels);
    const T* from_data = from.data_ptr<T>();
    T* to_data = to.data_ptr<T>();
    for_images(from.size(0), [&](int64_t, int64_t begin, int64_t end) {
      T *in = workspace<T>(shape.values() + values), *plain = in + shape.values();
      std::memset(in, 0, shape.values() * sizeof(T));
      for (int64_t image = begin; image < end; image++) {
        const T* map = from_data + image * values;
        if (backward) {
          std::memcpy(plain, map, values * sizeof(T));
          scale_border(plain, size, channels);
          map = plain;
        }
        place(map, shape, in);
        depthwise<T, 3, 1>(in, shape, weights.data(), size, to_data + image * values);
        if (!backward) scale_border(to_data + image * values, size, channels);
      }
    });
  }

  // The largest of a window and the number of the first tap that has it; a NaN is largest, as torch has it.
  static void largest(const T* in, const Padded& shape, T* out, T* taps) {
    int values = shape.size * shape.channels;
    for (int y = 0; y < shape.size; y++)
      for_vectors<T>(values, shape.channels, [&](int i, int) {
        const T* from = in + y * shape.row + i;
        Vector<T> most = load(from), tap = {};
        for (int t = 1; t < 9; t++) {
          Vector<T> value = load(from + t / 3 * shape.row + t % 3 * shape.channels);
          auto more = (value > most) | (value != value);
          most = more ? value : most;
          tap = more ? all<Vector<T>>(T(t)) : tap;
        }
        if (out) store(out + y * values + i, most);
        if (taps) store(taps + shape.at(y) + i, tap);
      });
  }

  static void surround(T* map, const Padded& shape, T value) { std::fill(map, map + shape.values(), value); }

  static void maximum(const Tensor& x, const Tensor& y) {
    int size = x.size(2), channels = x.size(1), values = size * size * channels;
    Padded shape(size, channels, 1, V);
    const T* x_data = x.data_ptr<T>();
    T* y_data = y.data_ptr<T>();
    for_images(x.size(0), [&](int64_t, int64_t begin, int64_t end) {
      T* in = workspace<T>(shape.values());
      surround(in, shape, -INFINITY);
      for (int64_t image = begin; image < end; image++) {
        place(x_data + image * values, shape, in);
        largest(in, shape, y_data + image * values, nullptr);
      }
    });
  }

  // Each gradient goes to the pixel that was largest: a pixel asks its nine windows for whom they chose.
  static void maximum_gradient(const Tensor& x, const Tensor& dy, const Tensor& dx) {
    int size = x.size(2), channels = x.size(1), values = size * channels;
    Padded shape(size, channels, 1, V);
    const T *x_data = x.data_ptr<T>(), *dy_data = dy.data_ptr<T>();
    T* dx_data = dx.data_ptr<T>();
    for_images(x.size(0), [&](int64_t, int64_t begin, int64_t end) {
      size_t padded = shape.values();
      T *in = workspace<T>(3 * padded), *taps = in + padded, *gradient = taps + padded;
      surround(in, shape, -INFINITY);
      surround(taps, shape, T(-1));
      surround(gradient, shape, T(0));
      for (int64_t image = begin; image < end; image++) {
        place(x_data + image * size * values, shape, in);
        place(dy_data + image * size * values, shape, gradient);
        largest(in, shape, nullptr, taps);
        T* to = dx_data + image * size * values;
        for (int y = 0; y < size; y++)
          for_vectors<T>(values, channels, [&](int i, int) {
            Vector<T> sum = {};
            for (int t = 0; t < 9; t++) {
              int at = y * shape.row + i + (8 - t) / 3 * shape.row + (8 - t) % 3 * channels;
              sum += load(taps + at) == all<Vector<T>>(T(t)) ? load(gradient + at) : Vector<T>{};
            }
            store(to + y * values + i, sum);
          });
      }
    });
  }
};

struct AvgPoolFunction : torch::autograd::Function<AvgPoolFunction> {
  static Tensor forward(AutogradContext*, const Tensor& maps) {
    Tensor x = maps.contiguous(at::MemoryFormat::ChannelsLast), y = at::empty_like(x);
    BY_TYPE(x.scalar_type(), Pool<T>::average(x, y, false));
    return y;
  }
  static variable_list backward(AutogradContext*, variable_list gradients) {
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast), dx = at::empty_like(dy);
    BY_TYPE(dy.scalar_type(), Pool<T>::average(dy, dx, true));
    return {dx};
  }
};

struct MaxPoolFunction : torch::autograd::Function<MaxPoolFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& maps) {
    Tensor x = maps.contiguous(at::MemoryFormat::ChannelsLast), y = at::empty_like(x);
    BY_TYPE(x.scalar_type(), Pool<T>::maximum(x, y));
    ctx->save_for_backward({x});
    return y;
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    Tensor x = ctx->get_saved_variables()[0], dx = at::empty_like(x);
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    BY_TYPE(x.scalar_type(), Pool<T>::maximum_gradient(x, dy, dx));
    return {dx};
  }
};

Tensor avg_pool(const Tensor& x) {
  check(x, x.size(1), x.size(2));
  return AvgPoolFunction::apply(x);
}

Tensor max_pool(const Tensor& x) {
  check(x, x.size(1), x.size(2));
  return MaxPoolFunction::apply(x);
}

}  // namespace
