// Batch norm, forward and backward.

#pragma once

#include <cmath>

#include "channels.h"
#include "maps.h"

namespace {

constexpr double EPSILON = 1e-5;

// Mean and sum of squared deviations of each channel, of some images.
struct Moments {
  std::vector<double> mean, squares;
  double count = 0;

  void merge(const Moments& other) {
    if (other.count == 0) return;
    double total = count + other.count;
    for (size_t c = 0; c < mean.size(); c++) {
      double difference = other.mean[c] - mean[c];
      mean[c] += difference * other.count / total;
      squares[c] += other.squares[c] + difference * difference * count * other.count / total;
    }
    count = total;
  }
};

// Sums for them, in one pass over each image: of the differences from the first image's mean, and of their squares. That
// mean is close enough to all images' for squares in single precision.
template <typename T> struct MomentSums {
  std::vector<T> origin;
  std::vector<double> differences, squares;
  double count = 0;
  explicit MomentSums(int channels) : differences(channels), squares(channels) {}

  void add_image(const T* map, int pixels) {
    int channels = differences.size();
    if (count == 0) {
      std::vector<double> mean(channels);
      add_sums<T, 1>(pixels, channels, {mean.data()}, [&](auto& sums, int i, int) {
        sums[0] += load_as<std::decay_t<decltype(sums[0])>>(map + i);
      });
      for (double& value : mean) value /= pixels;
      origin = repeated<T>(mean.data(), channels);
    }
    count += pixels;
    add_sums<T, 2>(pixels, channels, {differences.data(), squares.data()}, [&](auto& sums, int i, int c) {
      using Vec = std::decay_t<decltype(sums[0])>;
      Vec difference = load_as<Vec>(map + i) - load_as<Vec>(origin.data() + c);
      sums[0] += difference;
      sums[1] += difference * difference;
    });
  }
  Moments moments() const {
    Moments result{differences, squares, count};
    for (size_t c = 0; c < differences.size(); c++) {
      result.mean[c] = origin[c] + differences[c] / count;
      result.squares[c] -= differences[c] * differences[c] / count;
    }
    return result;
  }
};

// The normalisation of a batch: y = (z - mean) * scale * weight + bias.
struct Norm {
  Tensor mean, deviation;  // double, [C]

  template <typename T> static Norm of(const std::vector<MomentSums<T>>& parts) {
    Moments all_parts = parts[0].moments();
    for (size_t part = 1; part < parts.size(); part++) all_parts.merge(parts[part].moments());
    int channels = all_parts.mean.size();
    Tensor mean = at::empty({channels}, at::kDouble), deviation = at::empty({channels}, at::kDouble);
    for (int c = 0; c < channels; c++) {
      mean.data_ptr<double>()[c] = all_parts.mean[c];
      deviation.data_ptr<double>()[c] = std::sqrt(std::max(all_parts.squares[c] / all_parts.count, 0.0) + EPSILON);
    }
    return {mean, deviation};
  }
  // Where moving statistics are kept, those of the batch, the variance unbiased, are left in `kept`.
  template <typename T> void keep(at::TensorList kept, int first, double count) const {
    if (kept.empty()) return;
    T *mean_to = kept[first].data_ptr<T>(), *var_to = kept[first + 1].data_ptr<T>();
    for (int c = 0; c < mean.numel(); c++) {
      double root = deviation.data_ptr<double>()[c];
      mean_to[c] = T(mean.data_ptr<double>()[c]);
      var_to[c] = T((root * root - EPSILON) * count / (count - 1));
    }
  }
};

// Factor and offset of a channel in y = z * factor + offset.
template <typename T> struct Affine {
  std::vector<T> factor, offset;
  Affine(const Norm& norm, const Tensor& weight, const Tensor& bias) {
    int channels = weight.numel();
    std::vector<double> f(channels), o(channels);
    for (int c = 0; c < channels; c++) {
      f[c] = weight.data_ptr<T>()[c] / norm.deviation.data_ptr<double>()[c];
      o[c] = bias.data_ptr<T>()[c] - norm.mean.data_ptr<double>()[c] * f[c];
    }
    factor = repeated<T>(f.data(), channels);
    offset = repeated<T>(o.data(), channels);
  }
  template <typename Vec> Vec operator()(Vec z, int c) const {
    return z * load_as<Vec>(factor.data() + c) + load_as<Vec>(offset.data() + c);
  }
};

// Sums over a batch that the gradient of batch norm needs: of dy, and of dy (z - mean).
struct GradientSums {
  std::vector<double> dy, dy_z;
  explicit GradientSums(int channels) : dy(channels), dy_z(channels) {}
  std::array<double*, 2> both() { return {dy.data(), dy_z.data()}; }
  void merge(const GradientSums& other) {
    for (size_t c = 0; c < dy.size(); c++) { dy[c] += other.dy[c]; dy_z[c] += other.dy_z[c]; }
  }
};

// Gradient of z from that of y: dz = dy * a + z * b + c, with a factor a channel each.
template <typename T> struct NormGradient {
  std::vector<T> a, b, c;
  Tensor weight_gradient, bias_gradient;
  NormGradient(const Norm& norm, const Tensor& weight, const GradientSums& sums, double count) {
    int channels = weight.numel();
    std::vector<double> da(channels), db(channels), dc(channels);
    weight_gradient = at::empty_like(weight);
    bias_gradient = at::empty_like(weight);
    for (int i = 0; i < channels; i++) {
      double root = norm.deviation.data_ptr<double>()[i], mean = norm.mean.data_ptr<double>()[i];
      double scale = weight.data_ptr<T>()[i] / root;
      double of_scale = sums.dy_z[i] / (root * root) / count;
      weight_gradient.data_ptr<T>()[i] = T(sums.dy_z[i] / root);
      bias_gradient.data_ptr<T>()[i] = T(sums.dy[i]);
      da[i] = scale;
      db[i] = -scale * of_scale;
      dc[i] = scale * (mean * of_scale - sums.dy[i] / count);
    }
    a = repeated<T>(da.data(), channels);
    b = repeated<T>(db.data(), channels);
    c = repeated<T>(dc.data(), channels);
  }
  Vector<T> operator()(Vector<T> dy, Vector<T> z, int channel) const {
    return dy * load(a.data() + channel) + z * load(b.data() + channel) + load(c.data() + channel);
  }
};

// Those sums of a whole batch whose dy lies in memory.
template <typename T>
GradientSums gradient_sums(const T* dy, const T* z, const Norm& norm, int64_t images, int pixels, int channels) {
  std::vector<GradientSums> parts(parts_of(images), GradientSums(channels));
  auto mean = repeated<T>(norm.mean.data_ptr<double>(), channels);
  for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; image++) {
      const T *dy_image = dy + image * pixels * channels, *z_image = z + image * pixels * channels;
      add_sums<T, 2>(pixels, channels, parts[part].both(), [&](auto& sums, int i, int c) {
        using Vec = std::decay_t<decltype(sums[0])>;
        Vec d = load_as<Vec>(dy_image + i);
        sums[0] += d;
        sums[1] += d * (load_as<Vec>(z_image + i) - load_as<Vec>(mean.data() + c));
      });
    }
  });
  for (size_t part = 1; part < parts.size(); part++) parts[0].merge(parts[part]);
  return parts[0];
}

// y = the normalised z, of the whole batch.
template <typename T>
void normalise(const T* z, T* y, const Affine<T>& affine, int64_t images, int values, int channels) {
  for_images(images, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t image = begin; image < end; image++) {
      const T* from = z + image * values;
      T* to = y + image * values;
      for_vectors<T>(values, channels, [&](int i, int c) { store(to + i, affine(load(from + i), c)); });
    }
  });
}

}  // namespace
