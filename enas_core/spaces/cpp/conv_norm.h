// 1x1 convolutions with batch norm: of maps behind each other, of every other pixel, and the stem's of 3x3 pixels.

#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include "norm.h"
#include "products.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a 1x1 convolution reads, gathered pixel by pixel: maps behind each other after ReLU, a block of weights each.
template <typename T> struct Behind {
  std::vector<const T*> data;
  std::vector<T*> gradient;
  std::vector<int> channels;
  int size, total = 0;

  Behind(at::TensorList maps, at::TensorList gradients) : size(maps[0].size(2)) {
    for (const Tensor& map : maps) {
      data.push_back(map.data_ptr<T>());
      channels.push_back(map.size(1));
      total += map.size(1);
    }
    for (const Tensor& map : gradients) gradient.push_back(map.data_ptr<T>());
  }
  // The gathered image [P, total].
  void gather(int64_t image, T* to) const {
    int pixels = size * size;
    for (int at = 0, i = 0; i < int(data.size()); at += channels[i++])
      for_channels<T>(channels[i], [&](int c, int, auto vector) {
        using Vec = decltype(vector);
        const T* from = data[i] + image * pixels * channels[i] + c;
        for (int p = 0; p < pixels; p++) store(to + p * total + at + c, relu(load_as<Vec>(from + p * channels[i])));
      });
  }
  // The gradient of the gathered image, put where its pixels came from.
  void scatter(int64_t image, const T* in, const T* from) const {
    int pixels = size * size;
    for (int at = 0, i = 0; i < int(data.size()); at += channels[i++])
      for_channels<T>(channels[i], [&](int c, int, auto vector) {
        using Vec = decltype(vector);
        T* to = gradient[i] + image * pixels * channels[i] + c;
        for (int p = 0; p < pixels; p++) {
          int source = p * total + at + c;
          store(to + p * channels[i], load_as<Vec>(in + source) > 0 ? load_as<Vec>(from + source) : Vec{});
        }
      });
  }
  static constexpr bool gives_gradient = true, one_matrix = true;
  // `work(block, row, column)`: where the weights of each block lie in the matrix.
  template <typename F> static void for_blocks(at::TensorList blocks, const F& work) {
    for (int at = 0, i = 0; i < int(blocks.size()); at += blocks[i++].size(1)) work(blocks[i], 0, at);
  }
};

// Every other pixel of a map, and beside it the next one down and to the right (zeros beyond the border), which have a
// block of weights each for one half of the channels that come out.
template <typename T> struct Halved {
  const T* data;
  T* gradient = nullptr;
  bool with_relu;
  int from_size, channels, size, total;

  Halved(const Tensor& x, const Tensor& dx, bool with_relu)
      : data(x.data_ptr<T>()), gradient(dx.defined() ? dx.data_ptr<T>() : nullptr), with_relu(with_relu),
        from_size(x.size(2)), channels(x.size(1)), size((from_size + 1) / 2), total(2 * channels) {}

  int64_t image_values() const { return int64_t(from_size) * from_size * channels; }

  // `work(place in the map, place in the gathered image)` of each pixel; -1: beyond the border.
  template <typename F> void for_pixels(const F& work) const {
    for (int y = 0; y < size; y++)
      for (int x = 0; x < size; x++) {
        int to = (y * size + x) * total;
        bool inside = 2 * y + 1 < from_size && 2 * x + 1 < from_size;
        work((2 * y * from_size + 2 * x) * channels, to);
        work(inside ? ((2 * y + 1) * from_size + 2 * x + 1) * channels : -1, to + channels);
      }
  }
  void gather(int64_t image, T* to) const {
    const T* from = data + image * image_values();
    for_channels<T>(channels, [&](int c, int, auto vector) {
      using Vec = decltype(vector);
      for_pixels([&](int source, int target) {
        Vec value = source < 0 ? Vec{} : load_as<Vec>(from + source + c);
        store(to + target + c, with_relu ? relu(value) : value);
      });
    });
  }
  void scatter(int64_t image, const T* in, const T* from) const {
    T* to = gradient + image * image_values();
    std::memset(to, 0, image_values() * sizeof(T));
    for_channels<T>(channels, [&](int c, int, auto vector) {
      using Vec = decltype(vector);
      for_pixels([&](int target, int source) {
        if (target < 0) return;
        Vec value = load_as<Vec>(from + source + c);
        store(to + target + c, with_relu ? (load_as<Vec>(in + source + c) > 0 ? value : Vec{}) : value);
      });
    });
  }
  static constexpr bool gives_gradient = true, one_matrix = false;  // there are zeros beside both blocks
  template <typename F> static void for_blocks(at::TensorList blocks, const F& work) {
    work(blocks[0], 0, 0);
    work(blocks[1], int(blocks[0].size(0)), int(blocks[0].size(1)));
  }
};

// The 3x3 pixels around each pixel of an image (zeros beyond the border), with all their channels: what a 3x3 convolution
// of stride 1 sums over. Images get no gradient.
template <typename T> struct Patches {
  const T* data;
  int channels, size, total;
  static constexpr bool gives_gradient = false, one_matrix = true;

  explicit Patches(const Tensor& x)
      : data(x.data_ptr<T>()), channels(x.size(1)), size(x.size(2)), total(9 * channels) {}

  void gather(int64_t image, T* to) const {
    const T* from = data + image * size * size * channels;
    int three = 3 * channels;
    for (int y = 0; y < size; y++)
      for (int x = 0; x < size; x++)
        for (int row = y - 1; row <= y + 1; row++, to += three) {
          const T* left = from + (row * size + x - 1) * channels;
          bool inside = row >= 0 && row < size;
          if (inside && x > 0 && x + 1 < size) {
            for (int i = 0; i < three; i++) to[i] = left[i];
            continue;
          }
          for (int i = 0; i < three; i++) {
            int column = x - 1 + i / channels;
            to[i] = inside && column >= 0 && column < size ? left[i] : T(0);
          }
        }
  }
  void scatter(int64_t, const T*, const T*) const {}
  template <typename F> static void for_blocks(at::TensorList blocks, const F& work) { work(blocks[0], 0, 0); }
};

template <typename T, typename Inputs> struct ConvNorm {
  static constexpr int V = WIDTH<Vector<T>>;

  // What is multiplied at once: weights for the channels that come out from `row` on, of those that are read from `column`.
  struct Piece {
    int row, rows, column, columns;
    std::vector<T> weights;  // [columns, rows] where they mix what is read, [rows, columns] for the gradient, both padded
  };

  // The blocks side by side as one piece, or each as a piece of its own.
  static std::vector<Piece> pieces(at::TensorList blocks, int rows, int columns, bool mixing) {
    std::vector<Piece> result;
    if (Inputs::one_matrix) result.push_back({0, rows, 0, columns, std::vector<T>(size_t(rows) * columns)});
    Inputs::for_blocks(blocks, [&](const Tensor& block, int row, int column) {
      int height = block.size(0), width = block.size(1);
      const T* from = block.data_ptr<T>();
      if (!Inputs::one_matrix) {
        result.push_back({row, height, column, width, std::vector<T>(from, from + height * width)});
        return;
      }
      for (int r = 0; r < height; r++)
        std::memcpy(&result[0].weights[r * columns + column], from + r * width, width * sizeof(T));
    });
    for (Piece& piece : result) {
      const T* from = piece.weights.data();
      piece.weights = mixing ? padded_matrix(from, piece.columns, piece.rows, true)
                             : padded_matrix(from, piece.rows, piece.columns, false);
    }
    return result;
  }

  static std::vector<Tensor> forward(const Inputs& inputs, const Tensor& like, at::TensorList blocks,
                                     const Tensor& weight, const Tensor& bias, at::TensorList kept) {
    int64_t images = like.size(0);
    int size = inputs.size, pixels = size * size, rows = weight.numel(), total = inputs.total;
    std::vector<Piece> matrix = pieces(blocks, rows, total, true);
    Tensor z = empty_maps(like, images, rows, size), y = at::empty_like(z);
    T* z_data = z.data_ptr<T>();
    std::vector<MomentSums<T>> moments(parts_of(images), MomentSums<T>(rows));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      T* in = workspace<T>(size_t(pixels) * total + V);
      for (int64_t image = begin; image < end; image++) {
        T* out = z_data + image * pixels * rows;
        inputs.gather(image, in);
        for (const Piece& piece : matrix)
          product(in + piece.column, total, pixels, piece.columns, piece.weights.data(), rounded_up(piece.rows, V),
                  piece.rows, out + piece.row, rows);
        moments[part].add_image(out, pixels);
      }
    });
    Norm norm = Norm::of(moments);
    normalise(z_data, y.data_ptr<T>(), Affine<T>(norm, weight, bias), images, pixels * rows, rows);
    norm.keep<T>(kept, 0, double(images) * pixels);
    return {y, z, norm.mean, norm.deviation};
  }

  // Fills the gradients that `inputs` has been given; returns those of the weights.
  static variable_list backward(const Inputs& inputs, const Tensor& dy, at::TensorList blocks, const Tensor& weight,
                                const Tensor& z, const Norm& norm) {
    int64_t images = dy.size(0);
    int size = inputs.size, pixels = size * size, rows = weight.numel(), total = inputs.total;
    const T *dy_data = dy.data_ptr<T>(), *z_data = z.data_ptr<T>();
    NormGradient<T> gradient(norm, weight, gradient_sums(dy_data, z_data, norm, images, pixels, rows),
                             double(images) * pixels);
    std::vector<Piece> matrix = pieces(blocks, rows, total, false);
    int64_t parts = parts_of(images);
    std::vector<std::vector<double>> sums(parts, std::vector<double>(size_t(rows) * total));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      size_t wide = size_t(pixels) * total + V;
      T *in = workspace<T>(2 * wide + size_t(pixels) * rows + V), *din = in + wide, *dz = din + wide;
      for (int64_t image = begin; image < end; image++) {
        const T *dy_image = dy_data + image * pixels * rows, *z_image = z_data + image * pixels * rows;
        for_vectors<T>(pixels * rows, rows, [&](int i, int c) {
          store(dz + i, gradient(load(dy_image + i), load(z_image + i), c));
        });
        inputs.gather(image, in);
        for (const Piece& piece : matrix) {
          double* sum = sums[part].data() + size_t(piece.row) * total + piece.column;
          add_outer(dz + piece.row, rows, piece.rows, in + piece.column, total, piece.columns, pixels, sum, total);
          if (Inputs::gives_gradient)
            product(dz + piece.row, rows, pixels, piece.rows, piece.weights.data(), rounded_up(piece.columns, V),
                    piece.columns, din + piece.column, total);
        }
        if (Inputs::gives_gradient) inputs.scatter(image, in, din);
      }
    });
    for (int64_t part = 1; part < parts; part++)
      for (size_t i = 0; i < sums[0].size(); i++) sums[0][i] += sums[part][i];
    variable_list result;
    Inputs::for_blocks(blocks, [&](const Tensor& block, int row, int column) {
      const double* from = sums[0].data() + size_t(row) * total + column;
      result.push_back(matrix_gradient<T>(from, block.size(0), block.size(1), total, block));
    });
    result.push_back(gradient.weight_gradient);
    result.push_back(gradient.bias_gradient);
    return result;
  }
};

// What both functions below save: what they read, the blocks, the norm's weight, and what `forward` has returned.
void save(AutogradContext* ctx, variable_list saved, at::TensorList blocks, const Tensor& weight,
          const std::vector<Tensor>& result, at::TensorList kept) {
  ctx->saved_data["inputs"] = int64_t(saved.size());
  ctx->saved_data["kept"] = int64_t(kept.size());
  saved.insert(saved.end(), blocks.begin(), blocks.end());
  saved.push_back(weight);
  saved.insert(saved.end(), result.begin() + 1, result.end());
  ctx->save_for_backward(saved);
}

struct ConvNormFunction : torch::autograd::Function<ConvNormFunction> {
  static Tensor forward(AutogradContext* ctx, at::TensorList maps, at::TensorList blocks, const Tensor& weight,
                        const Tensor& bias, at::TensorList kept) {
    std::vector<Tensor> inputs = channels_last(maps);
    auto result = BY_TYPE(weight.scalar_type(), ConvNorm<T, Behind<T>>::forward(
        Behind<T>(inputs, {}), inputs[0], blocks, weight, bias, kept));
    save(ctx, inputs, blocks, weight, result, kept);
    return result[0];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    variable_list saved = ctx->get_saved_variables(), result;
    int64_t count = ctx->saved_data["inputs"].toInt();
    at::TensorList maps(saved.data(), count), blocks(saved.data() + count, count);
    const Tensor &weight = saved[2 * count], &z = saved[2 * count + 1];
    Norm norm{saved[2 * count + 2], saved[2 * count + 3]};
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    for (const Tensor& map : maps) result.push_back(at::empty_like(map));
    variable_list of_weights = BY_TYPE(weight.scalar_type(), ConvNorm<T, Behind<T>>::backward(
        Behind<T>(maps, result), dy, blocks, weight, z, norm));
    result.insert(result.end(), of_weights.begin(), of_weights.end());
    result.resize(result.size() + ctx->saved_data["kept"].toInt());
    return result;
  }
};

Tensor conv_norm(at::TensorList maps, at::TensorList blocks, const Tensor& weight, const Tensor& bias,
                 at::TensorList kept) {
  for (const Tensor& map : maps) check(map, weight.numel(), map.size(2) * map.size(3));
  return ConvNormFunction::apply(maps, blocks, weight, bias, kept);
}

struct HalveFunction : torch::autograd::Function<HalveFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& map, at::TensorList blocks, const Tensor& weight,
                        const Tensor& bias, bool with_relu, at::TensorList kept) {
    Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast);
    auto result = BY_TYPE(weight.scalar_type(), ConvNorm<T, Halved<T>>::forward(
        Halved<T>(x, {}, with_relu), x, blocks, weight, bias, kept));
    save(ctx, {x}, blocks, weight, result, kept);
    ctx->saved_data["with_relu"] = with_relu;
    return result[0];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[3], &z = saved[4];
    Norm norm{saved[5], saved[6]};
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast), dx = at::empty_like(x);
    bool with_relu = ctx->saved_data["with_relu"].toBool();
    variable_list result{dx}, of_weights = BY_TYPE(weight.scalar_type(), ConvNorm<T, Halved<T>>::backward(
        Halved<T>(x, dx, with_relu), dy, at::TensorList(saved.data() + 1, 2), weight, z, norm));
    result.insert(result.end(), of_weights.begin(), of_weights.end());
    result.resize(result.size() + 1 + ctx->saved_data["kept"].toInt());  // nothing for `with_relu`
    return result;
  }
};

Tensor halve(const Tensor& x, at::TensorList blocks, const Tensor& weight, const Tensor& bias, bool with_relu,
             at::TensorList kept) {
  int64_t size = (x.size(2) + 1) / 2;
  check(x, weight.numel(), size * size);
  return HalveFunction::apply(x, blocks, weight, bias, with_relu, kept);
}

struct StemFunction : torch::autograd::Function<StemFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& images, const Tensor& conv, const Tensor& weight,
                        const Tensor& bias, at::TensorList kept) {
    Tensor x = images.contiguous(at::MemoryFormat::ChannelsLast), block = conv.permute({0, 2, 3, 1}).flatten(1).contiguous();
    auto result = BY_TYPE(weight.scalar_type(), ConvNorm<T, Patches<T>>::forward(
        Patches<T>(x), x, {block}, weight, bias, kept));
    save(ctx, {x}, {block}, weight, result, kept);
    return result[0];
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &block = saved[1], &weight = saved[2], &z = saved[3];
    Norm norm{saved[4], saved[5]};
    Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    variable_list of_weights = BY_TYPE(weight.scalar_type(), ConvNorm<T, Patches<T>>::backward(
        Patches<T>(x), dy, {block}, weight, z, norm));
    Tensor of_conv = of_weights[0].view({block.size(0), 3, 3, x.size(1)}).permute({0, 3, 1, 2}).contiguous();
    variable_list result{Tensor(), of_conv, of_weights[1], of_weights[2]};
    result.resize(result.size() + ctx->saved_data["kept"].toInt());
    return result;
  }
};

Tensor stem(const Tensor& x, const Tensor& conv, const Tensor& weight, const Tensor& bias, at::TensorList kept) {
  check(x, weight.numel(), x.size(2) * x.size(2));
  TORCH_CHECK(!x.requires_grad(), "this operator gives images no gradient");
  return StemFunction::apply(x, conv, weight, bias, kept);
}

}  // namespace
