// Feature maps: their images dealt to threads, their types, and what the operators demand of them.

#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "vectors.h"

namespace {

using at::Tensor;

// Images dealt to threads, in equal parts; `work(part, begin, end)`.
template <typename F> void for_images(int64_t images, const F& work) {
  int64_t parts = std::min<int64_t>(images, at::get_num_threads());
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; part++) work(part, part * images / parts, (part + 1) * images / parts);
  });
}

inline int64_t parts_of(int64_t images) { return std::min<int64_t>(images, at::get_num_threads()); }

// Where sums go over vectors of a row, a row must have the values of one.
void check(const Tensor& x, int64_t channels, int64_t size) {
  TORCH_CHECK(x.dim() == 4 && x.size(2) == x.size(3), "feature maps must be square");
  TORCH_CHECK(channels * size * x.element_size() >= VECTOR_BYTES, "feature maps are too small for these operators");
}

Tensor empty_maps(const Tensor& like, int64_t images, int64_t channels, int64_t size) {
  return at::empty({images, channels, size, size}, like.options(), at::MemoryFormat::ChannelsLast);
}

std::vector<Tensor> channels_last(at::TensorList maps) {
  std::vector<Tensor> result;
  for (const Tensor& map : maps) result.push_back(map.contiguous(at::MemoryFormat::ChannelsLast));
  return result;
}

#define BY_TYPE(type, ...)                                            \
  [&] {                                                               \
    if (type == at::kFloat) { using T = float; return __VA_ARGS__; }  \
    TORCH_CHECK(type == at::kDouble, "neither float nor double");     \
    using T = double;                                                 \
    return __VA_ARGS__;                                               \
  }()

}  // namespace
