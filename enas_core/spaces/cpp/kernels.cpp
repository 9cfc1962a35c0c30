// The operations of a cell on a CPU, each as one operator that works an image at a time, so that what it passes from one
// of its steps to the next stays in the cache. `spaces/kernels.py` builds and loads them. They compute what the modules of
// `layers.py` and `micro/operations.py` compute (up to the order of sums), which stand in for them elsewhere.
//
// The operators are in sep_conv.h, conv_norm.h (also `halve` and `stem`) and pools.h; what they share is in vectors.h,
// channels.h, maps.h, products.h, depthwise.h and norm.h.
//
// Feature maps are channels last. B images, S pixels a side, P = S * S pixels, C channels, K pixels a side of a kernel,
// V values of a vector. Sums over images are made image by image in single precision and added in double precision.

#include <torch/library.h>

#include "conv_norm.h"
#include "pools.h"
#include "sep_conv.h"

TORCH_LIBRARY(enas, m) {
  m.def("sep_conv(Tensor x, Tensor[] weights, int stride, Tensor[] kept) -> Tensor", &sep_conv);
  m.def("conv_norm(Tensor[] maps, Tensor[] blocks, Tensor weight, Tensor bias, Tensor[] kept) -> Tensor", &conv_norm);
  m.def("halve(Tensor x, Tensor[] blocks, Tensor weight, Tensor bias, bool with_relu, Tensor[] kept) -> Tensor", &halve);
  m.def("stem(Tensor x, Tensor conv, Tensor weight, Tensor bias, Tensor[] kept) -> Tensor", &stem);
  m.def("avg_pool(Tensor x) -> Tensor", &avg_pool);
  m.def("max_pool(Tensor x) -> Tensor", &max_pool);
}
