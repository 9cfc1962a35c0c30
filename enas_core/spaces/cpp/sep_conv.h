// Separable convolution: twice (ReLU, depthwise, pointwise, batch norm).

#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "depthwise.h"
#include "norm.h"
#include "products.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One half. Its input is x, or what it is normalised to; the ReLU is applied on the way into the padded image.
template <typename T, int K> struct Half {
  static constexpr int V = WIDTH<Vector<T>>;
  int64_t images;
  int size, out_size, channels, stride, shift, ld;
  Padded shape;
  std::vector<T> forward_taps, backward_taps, pointwise, pointwise_back;

  Half(int64_t images, int size, int stride, const Tensor& depthwise_weight, const Tensor& pointwise_weight)
      : images(images), size(size), out_size((size + stride - 1) / stride), channels(depthwise_weight.size(0)),
        stride(stride), ld(rounded_up(channels, V)), shape(size, channels, K / 2, V) {
    int padding = std::max((out_size - 1) * stride + K - size, 0);
    shift = K / 2 - padding / 2;  // where SAME padding starts, against that of stride 1
    forward_taps = taps<T>(depthwise_weight, K, false);
    backward_taps = taps<T>(depthwise_weight, K, true);
    pointwise = padded_matrix(pointwise_weight.data_ptr<T>(), channels, channels, true);
    pointwise_back = padded_matrix(pointwise_weight.data_ptr<T>(), channels, channels, false);
  }
  int in_values() const { return size * size * channels; }
  int out_values() const { return out_size * out_size * channels; }

  // Into the padded image, whose surroundings are zeros: the input after ReLU. `value(position, channel)` gives V of it.
  template <typename F> void pad(T* padded, const F& value) const {
    int values = size * channels;
    for (int y = 0; y < size; y++) {
      T* to = padded + shape.at(y);
      for_vectors<T>(values, channels, [&](int i, int c) { store(to + i, relu(value(y * values + i, c))); });
    }
  }
  // The depthwise output [P, C] of a padded image.
  void spread(const T* padded, T* out) const {
    const T* first = padded + shift * (shape.row + channels);
    if (stride == 1) depthwise<T, K, 1>(first, shape, forward_taps.data(), out_size, out);
    else depthwise<T, K, 2>(first, shape, forward_taps.data(), out_size, out);
  }
  void mix(const T* spread_out, T* z) const {
    product(spread_out, channels, out_size * out_size, channels, pointwise.data(), ld, channels, z, channels);
  }
};

// What one half of the backward pass adds up over images.
struct HalfGradient {
  std::vector<double> depthwise, pointwise;
  HalfGradient(int channels, int kernel) : depthwise(kernel * kernel * channels), pointwise(channels * channels) {}
  void merge(const HalfGradient& other) {
    for (size_t i = 0; i < depthwise.size(); i++) depthwise[i] += other.depthwise[i];
    for (size_t i = 0; i < pointwise.size(); i++) pointwise[i] += other.pointwise[i];
  }
};

// Weights: depthwise, pointwise, norm's weight and bias; then the same of the second half.
template <typename T, int K> struct SepConv {
  static constexpr int V = WIDTH<Vector<T>>;

  static std::vector<Tensor> forward(const Tensor& x, at::TensorList w, int stride, at::TensorList kept) {
    int64_t images = x.size(0);
    Half<T, K> first(images, x.size(2), stride, w[0], w[1]), second(images, first.out_size, 1, w[4], w[5]);
    int channels = first.channels, values = first.out_values(), pixels = first.out_size * first.out_size;
    Tensor z1 = empty_maps(x, images, channels, first.out_size), z2 = at::empty_like(z1), y = at::empty_like(z1);
    const T* x_data = x.data_ptr<T>();
    T *z1_data = z1.data_ptr<T>(), *z2_data = z2.data_ptr<T>();

    std::vector<MomentSums<T>> moments(parts_of(images), MomentSums<T>(channels));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      size_t padded = first.shape.values();
      T *scratch = workspace<T>(padded + values), *spread = scratch + padded;
      std::memset(scratch, 0, padded * sizeof(T));
      for (int64_t image = begin; image < end; image++) {
        const T* from = x_data + image * first.in_values();
        first.pad(scratch, [&](int i, int) { return load(from + i); });
        first.spread(scratch, spread);
        first.mix(spread, z1_data + image * values);
        moments[part].add_image(z1_data + image * values, pixels);
      }
    });
    Norm norm1 = Norm::of(moments);
    Affine<T> affine1(norm1, w[2], w[3]);
    moments.assign(moments.size(), MomentSums<T>(channels));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      size_t padded = second.shape.values();
      T *scratch = workspace<T>(padded + values), *spread = scratch + padded;
      std::memset(scratch, 0, padded * sizeof(T));
      for (int64_t image = begin; image < end; image++) {
        const T* from = z1_data + image * values;
        second.pad(scratch, [&](int i, int c) { return affine1(load(from + i), c); });
        second.spread(scratch, spread);
        second.mix(spread, z2_data + image * values);
        moments[part].add_image(z2_data + image * values, pixels);
      }
    });
    Norm norm2 = Norm::of(moments);
    normalise(z2_data, y.data_ptr<T>(), Affine<T>(norm2, w[6], w[7]), images, values, channels);
    norm1.keep<T>(kept, 0, double(images) * pixels);
    norm2.keep<T>(kept, 2, double(images) * pixels);
    return {y, z1, z2, norm1.mean, norm1.deviation, norm2.mean, norm2.deviation};
  }

  static variable_list backward(const Tensor& dy, const Tensor& x, at::TensorList w, const Tensor& z1, const Tensor& z2,
                                const Norm& norm1, const Norm& norm2, int stride) {
    int64_t images = x.size(0);
    Half<T, K> first(images, x.size(2), stride, w[0], w[1]), second(images, first.out_size, 1, w[4], w[5]);
    int channels = first.channels, values = first.out_values(), pixels = first.out_size * first.out_size;
    double count = double(images) * pixels;
    const T *dy_data = dy.data_ptr<T>(), *z1_data = z1.data_ptr<T>(), *z2_data = z2.data_ptr<T>();
    const T* x_data = x.data_ptr<T>();

    NormGradient<T> gradient2(
        norm2, w[6], gradient_sums(dy_data, z2_data, norm2, images, pixels, channels), count);
    Affine<T> affine1(norm1, w[2], w[3]);
    auto mean1 = repeated<T>(norm1.mean.template data_ptr<double>(), channels);
    Tensor dh = at::empty_like(z1);  // gradient of the first half's output
    T* dh_data = dh.data_ptr<T>();
    int64_t parts = parts_of(images);
    std::vector<GradientSums> sums(parts, GradientSums(channels));
    std::vector<HalfGradient> halves(parts, HalfGradient(channels, K));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      size_t padded = second.shape.values(), plain = values + V;
      T *in = workspace<T>(2 * padded + 2 * plain), *out = in + padded, *spread = out + padded, *dz = spread + plain;
      std::memset(in, 0, 2 * padded * sizeof(T));
      for (int64_t image = begin; image < end; image++) {
        const T* z_image = z1_data + image * values;
        second.pad(in, [&](int i, int c) { return affine1(load(z_image + i), c); });
        back_half(second, in, out, spread, dz, dy_data + image * values, z2_data + image * values, gradient2,
                  halves[part]);
        T* dh_image = dh_data + image * values;
        depthwise<T, K, 1>(out, second.shape, second.backward_taps.data(), second.size, spread);
        add_sums<T, 2>(pixels, channels, sums[part].both(), [&](auto& both, int i, int c) {
          using Vec = std::decay_t<decltype(both[0])>;
          Vec z = load_as<Vec>(z_image + i), d = affine1(z, c) > 0 ? load_as<Vec>(spread + i) : Vec{};
          store(dh_image + i, d);
          both[0] += d;
          both[1] += d * (z - load_as<Vec>(mean1.data() + c));
        });
      }
    });
    for (int64_t part = 1; part < parts; part++) {
      sums[0].merge(sums[part]);
      halves[0].merge(halves[part]);
    }
    Tensor dw2 = depthwise_gradient<T>(halves[0].depthwise, w[4]);
    Tensor pw2 = matrix_gradient<T>(halves[0].pointwise.data(), channels, channels, channels, w[5]);

    NormGradient<T> gradient1(norm1, w[2], sums[0], count);
    Tensor dx = at::empty_like(x);
    T* dx_data = dx.data_ptr<T>();
    halves.assign(parts, HalfGradient(channels, K));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      size_t padded = first.shape.values(), plain = first.in_values() + V;
      T *in = workspace<T>(2 * padded + 2 * plain), *out = in + padded, *spread = out + padded, *dz = spread + plain;
      std::memset(in, 0, 2 * padded * sizeof(T));
      for (int64_t image = begin; image < end; image++) {
        const T* x_image = x_data + image * first.in_values();
        first.pad(in, [&](int i, int) { return load(x_image + i); });
        back_half(first, in, out, spread, dz, dh_data + image * values, z1_data + image * values, gradient1,
                  halves[part]);
        depthwise<T, K, 1>(out, first.shape, first.backward_taps.data(), first.size, spread);
        T* dx_image = dx_data + image * first.in_values();
        for_vectors<T>(first.in_values(), channels, [&](int i, int) {
          store(dx_image + i, load(x_image + i) > 0 ? load(spread + i) : Vector<T>{});
        });
      }
    });
    for (int64_t part = 1; part < parts; part++) halves[0].merge(halves[part]);
    Tensor dw1 = depthwise_gradient<T>(halves[0].depthwise, w[0]);
    Tensor pw1 = matrix_gradient<T>(halves[0].pointwise.data(), channels, channels, channels, w[1]);
    return {dx,  dw1, pw1, gradient1.weight_gradient, gradient1.bias_gradient, dw2, pw2, gradient2.weight_gradient,
            gradient2.bias_gradient};
  }

  // Of one image: adds the gradients of the weights, leaves that of the depthwise output in the padded `out`.
  static void back_half(const Half<T, K>& half, const T* in, T* out, T* spread, T* dz, const T* dy, const T* z,
                        const NormGradient<T>& gradient, HalfGradient& sums) {
    int channels = half.channels, side = half.out_size;
    for_vectors<T>(half.out_values(), channels, [&](int i, int c) {
      store(dz + i, gradient(load(dy + i), load(z + i), c));
    });
    half.spread(in, spread);
    add_outer(dz, channels, channels, spread, channels, channels, side * side, sums.pointwise.data(), channels);
    if (half.stride == 1) {
      for (int y = 0; y < side; y++)
        product(dz + y * side * channels, channels, side, channels, half.pointwise_back.data(), half.ld, channels,
                out + half.shape.at(y), channels);
    } else {
      product(dz, channels, side * side, channels, half.pointwise_back.data(), half.ld, channels, spread, channels);
      for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
          std::memcpy(out + half.shape.at(y * half.stride + half.shift) + (x * half.stride + half.shift) * channels,
                      spread + (y * side + x) * channels, channels * sizeof(T));
    }
    int shift = half.shift * (half.shape.row + channels);
    const T *first = in + shift, *dy_first = out + half.shape.at(0) + shift;
    if (half.stride == 1) add_depthwise_gradient<T, K, 1>(first, dy_first, half.shape, side, sums.depthwise.data());
    else add_depthwise_gradient<T, K, 2>(first, dy_first, half.shape, side, sums.depthwise.data());
  }
};

#define BY_TYPE_AND_KERNEL(type, kernel, ...)                                        \
  [&] {                                                                              \
    if (type == at::kFloat && kernel == 3) { using Op = SepConv<float, 3>; return __VA_ARGS__; }   \
    if (type == at::kFloat && kernel == 5) { using Op = SepConv<float, 5>; return __VA_ARGS__; }   \
    if (type == at::kDouble && kernel == 3) { using Op = SepConv<double, 3>; return __VA_ARGS__; } \
    TORCH_CHECK(type == at::kDouble && kernel == 5, "no such kernel");               \
    using Op = SepConv<double, 5>;                                                   \
    return __VA_ARGS__;                                                              \
  }()

struct SepConvFunction : torch::autograd::Function<SepConvFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& maps, at::TensorList weights, int64_t stride,
                        at::TensorList kept) {
    Tensor x = maps.contiguous(at::MemoryFormat::ChannelsLast);
    std::vector<Tensor> result = BY_TYPE_AND_KERNEL(
        x.scalar_type(), weights[0].size(2), Op::forward(x, weights, stride, kept));
    ctx->saved_data["stride"] = stride;
    variable_list saved{x};
    saved.insert(saved.end(), weights.begin(), weights.end());
    saved.insert(saved.end(), result.begin() + 1, result.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["kept"] = int64_t(kept.size());
    return result[0];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    variable_list saved = ctx->get_saved_variables();
    int64_t stride = ctx->saved_data["stride"].toInt(), kept = ctx->saved_data["kept"].toInt();
    const Tensor& x = saved[0];
    at::TensorList weights(saved.data() + 1, 8);
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    Norm norm1{saved[11], saved[12]}, norm2{saved[13], saved[14]};
    variable_list result = BY_TYPE_AND_KERNEL(
        x.scalar_type(), weights[0].size(2),
        Op::backward(dy, x, weights, saved[9], saved[10], norm1, norm2, stride));
    result.emplace_back();
    for (int64_t i = 0; i < kept; i++) result.emplace_back();
    return result;
  }
};

Tensor sep_conv(const Tensor& x, at::TensorList weights, int64_t stride, at::TensorList kept) {
  check(x, x.size(1), (x.size(2) + stride - 1) / stride);
  return SepConvFunction::apply(x, weights, stride, kept);
}

}  // namespace
