// Values of channels, which repeat from pixel to pixel.

#pragma once

#include <array>

#include "vectors.h"

namespace {

// A value a channel, repeated so that V of them can be loaded from the place of any channel.
template <typename T> std::vector<T> repeated(const double* from, int channels) {
  std::vector<T> to(channels + WIDTH<Vector<T>>);
  for (int i = 0; i < int(to.size()); i++) to[i] = i < channels ? T(from[i]) : to[i - channels];
  return to;
}

// `work(position, channel)` for each vector of `values` values (V at least), channels repeating. The last vector may do
// some values a second time rather than go beyond them.
template <typename T, typename F> inline void for_vectors(int values, int channels, const F& work) {
  constexpr int V = WIDTH<Vector<T>>;
  int channel = 0, advance = V % channels, i = 0;
  for (; i + V <= values; i += V) {
    work(i, channel);
    channel += advance;
    if (channel >= channels) channel -= channels;
  }
  if (i < values) work(values - V, (values - V) % channels);
}

// `work(channel, done, vector)` for vectors that cover a pixel's channels, whole ones and then shorter ones. The last may
// cover some a second time, those before the channel `done`, rather than go beyond the pixel.
template <typename T, typename F> inline void for_channels(int channels, const F& work) {
  constexpr int V = WIDTH<Vector<T>>, HALF = WIDTH<Short<T>>;
  int c = 0;
  for (; c + V <= channels; c += V) work(c, c, Vector<T>{});
  for (; c + HALF <= channels; c += HALF) work(c, c, Short<T>{});
  if (c == channels) return;
  if (channels > HALF) work(channels - HALF, c, Short<T>{});
  else for (; c < channels; c++) work(c, c, Single<T>{});
}

// Adds sums over pixels to N sums a channel. `add(sums, place, channel)` adds what lies at a place of the maps.
template <typename T, size_t N, typename F>
inline void add_sums(int pixels, int channels, const std::array<double*, N>& to, const F& add) {
  for_channels<T>(channels, [&](int c, int done, auto vector) {
    using Vec = decltype(vector);
    constexpr int CHAINS = 4;  // an addition need not wait for the one before
    Vec sums[CHAINS][N] = {};
    int p = 0;
    for (; p + CHAINS <= pixels; p += CHAINS)
      for (int k = 0; k < CHAINS; k++) add(sums[k], (p + k) * channels + c, c);
    for (; p < pixels; p++) add(sums[0], p * channels + c, c);
    for (size_t n = 0; n < N; n++)
      add_to(to[n] + done, (sums[0][n] + sums[1][n]) + (sums[2][n] + sums[3][n]), done - c, WIDTH<Vec>);
  });
}

}  // namespace
