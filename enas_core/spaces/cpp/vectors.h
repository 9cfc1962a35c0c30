// Vectors of values, of the lengths that the processor has, and work memory.

#pragma once

#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64, ROWS = 8;
#elif defined(__AVX__)
constexpr int VECTOR_BYTES = 32, ROWS = 4;
#else
constexpr int VECTOR_BYTES = 16, ROWS = 8;
#endif

// Vectors of the processor's length, and shorter ones for what is left of a row: 8 channels of 4 bytes are half of 64.
template <typename T, int BYTES> struct Simd {
  typedef T type __attribute__((vector_size(BYTES)));
};
template <typename T> using Vector = typename Simd<T, VECTOR_BYTES>::type;
template <typename T> using Short = typename Simd<T, VECTOR_BYTES / 2>::type;
template <typename T> using Single = typename Simd<T, sizeof(T)>::type;
template <typename Vec> using Value = std::remove_cvref_t<decltype(std::declval<Vec&>()[0])>;
template <typename Vec> constexpr int WIDTH = sizeof(Vec) / sizeof(Value<Vec>);

template <typename Vec> inline Vec load_as(const Value<Vec>* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <typename T> inline Vector<T> load(const T* from) { return load_as<Vector<T>>(from); }

template <typename T, typename Vec> inline void store(T* to, Vec v) { std::memcpy(to, &v, sizeof v); }

// The first `count` values only.
template <typename T, typename Vec> inline void store_some(T* to, Vec v, int count) {
  constexpr int HALF = WIDTH<Vec> / 2;
  if (count == WIDTH<Vec>) return store(to, v);
  if (count == HALF) {
    std::memcpy(to, &v, HALF * sizeof(T));
    return;
  }
  for (int i = 0; i < count; i++) to[i] = v[i];
}

// Adds the values from `first` to before `end` to sums in double precision, the first of them to `to[0]`.
template <typename Vec> inline void add_to(double* to, Vec v, int first, int end) {
  using Wide = typename Simd<double, WIDTH<Vec> * sizeof(double)>::type;
  if (first == 0 && end == WIDTH<Vec>) store(to, load_as<Wide>(to) + __builtin_convertvector(v, Wide));
  else for (int i = first; i < end; i++) to[i - first] += v[i];
}

template <typename Vec> inline Vec all(Value<Vec> value) { return value - Vec{}; }

template <typename Vec> inline Vec relu(Vec v) { return v > 0 ? v : Vec{}; }

inline int rounded_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

// Work memory of one thread, kept from call to call.
template <typename T> T* workspace(size_t values) {
  thread_local std::vector<Vector<T>> memory;
  size_t vectors = values / WIDTH<Vector<T>> + 1;
  if (memory.size() < vectors) memory.resize(vectors);
  return reinterpret_cast<T*>(memory.data());
}

}  // namespace
