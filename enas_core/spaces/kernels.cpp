// The operations of a cell on a CPU, each as one operator that works an image at a time, so that what it passes from one
// of its steps to the next stays in the cache. `kernels.py` builds and loads it. The operators compute what the modules
// of `layers.py` and `micro/operations.py` compute (up to the order of sums), which stand in for them elsewhere.
//
// Feature maps are channels last. B images, S pixels a side, P = S * S pixels, C channels, K pixels a side of a kernel,
// V values of a vector. Sums over images are made image by image in single precision and added in double precision.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double EPSILON = 1e-5;

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

// Images dealt to threads, in equal parts; `work(part, begin, end)`.
template <typename F> void for_images(int64_t images, const F& work) {
  int64_t parts = std::min<int64_t>(images, at::get_num_threads());
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; part++) work(part, part * images / parts, (part + 1) * images / parts);
  });
}

inline int64_t parts_of(int64_t images) { return std::min<int64_t>(images, at::get_num_threads()); }

// ---- products of matrices ----------------------------------------------------------------------------------------

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

// sum [rows, columns] += a' b over `count` pixels, a [count, rows], b [count, columns] with V readable values behind.
template <typename T>
void add_outer(const T* a, int rows, const T* b, int columns, int count, double* sum) {
  for_columns<T>(columns, [&](int at, auto vector, int vectors, int last) {
    using Vec = decltype(vector);
    if (vectors == 3) outer_columns<Vec, 3>(a, rows, rows, b + at, columns, count, sum + at, columns, last);
    else if (vectors == 2) outer_columns<Vec, 2>(a, rows, rows, b + at, columns, count, sum + at, columns, last);
    else outer_columns<Vec, 1>(a, rows, rows, b + at, columns, count, sum + at, columns, last);
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

// ---- values of channels ------------------------------------------------------------------------------------------

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

// ---- batch norm --------------------------------------------------------------------------------------------------

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

// ---- depthwise convolution ---------------------------------------------------------------------------------------

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

// ---- separable convolution: twice (ReLU, depthwise, pointwise, batch norm) ------------------------------------------

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

template <typename T> Tensor depthwise_gradient(const std::vector<double>& sum, const Tensor& like) {
  Tensor result = at::empty_like(like);
  int channels = like.size(0), count = sum.size() / channels;
  for (int c = 0; c < channels; c++)
    for (int tap = 0; tap < count; tap++) result.data_ptr<T>()[c * count + tap] = T(sum[tap * channels + c]);
  return result;
}

template <typename T> Tensor matrix_gradient(const double* sum, int rows, int columns, int ld, const Tensor& like) {
  Tensor result = at::empty_like(like);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) result.data_ptr<T>()[r * columns + c] = T(sum[r * ld + c]);
  return result;
}

Tensor empty_maps(const Tensor& like, int64_t images, int64_t channels, int64_t size) {
  return at::empty({images, channels, size, size}, like.options(), at::MemoryFormat::ChannelsLast);
}

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
    add_outer(dz, channels, spread, channels, side * side, sums.pointwise.data());
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

// Where sums go over vectors of a row, a row must have the values of one.
void check(const Tensor& x, int64_t channels, int64_t size) {
  TORCH_CHECK(x.dim() == 4 && x.size(2) == x.size(3), "feature maps must be square");
  TORCH_CHECK(channels * size * x.element_size() >= VECTOR_BYTES, "feature maps are too small for these operators");
}

Tensor sep_conv(const Tensor& x, at::TensorList weights, int64_t stride, at::TensorList kept) {
  check(x, x.size(1), (x.size(2) + stride - 1) / stride);
  return SepConvFunction::apply(x, weights, stride, kept);
}

// ---- 1x1 convolutions with batch norm -----------------------------------------------------------------------------

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
  static constexpr bool gives_gradient = true;
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
  static constexpr bool gives_gradient = true;
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
  static constexpr bool gives_gradient = false;

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

  // The blocks put together, [rows, columns]; zeros where none is.
  static std::vector<T> matrix(at::TensorList blocks, int rows, int columns) {
    std::vector<T> to(size_t(rows) * columns);
    Inputs::for_blocks(blocks, [&](const Tensor& block, int row, int column) {
      int count = block.size(1);
      for (int r = 0; r < block.size(0); r++)
        std::memcpy(&to[(row + r) * columns + column], block.data_ptr<T>() + r * count, count * sizeof(T));
    });
    return to;
  }

  static std::vector<Tensor> forward(const Inputs& inputs, const Tensor& like, at::TensorList blocks,
                                     const Tensor& weight, const Tensor& bias, at::TensorList kept) {
    int64_t images = like.size(0);
    int size = inputs.size, pixels = size * size, rows = weight.numel(), total = inputs.total;
    auto mixing = padded_matrix(matrix(blocks, rows, total).data(), total, rows, true);
    Tensor z = empty_maps(like, images, rows, size), y = at::empty_like(z);
    T* z_data = z.data_ptr<T>();
    std::vector<MomentSums<T>> moments(parts_of(images), MomentSums<T>(rows));
    for_images(images, [&](int64_t part, int64_t begin, int64_t end) {
      T* in = workspace<T>(size_t(pixels) * total + V);
      for (int64_t image = begin; image < end; image++) {
        T* out = z_data + image * pixels * rows;
        inputs.gather(image, in);
        product(in, total, pixels, total, mixing.data(), rounded_up(rows, V), rows, out, rows);
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
    auto unmixing = padded_matrix(matrix(blocks, rows, total).data(), rows, total, false);
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
        add_outer(dz, rows, in, total, pixels, sums[part].data());
        if (!Inputs::gives_gradient) continue;
        product(dz, rows, pixels, rows, unmixing.data(), rounded_up(total, V), total, din, total);
        inputs.scatter(image, in, din);
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

#define BY_TYPE(type, ...)                                            \
  [&] {                                                               \
    if (type == at::kFloat) { using T = float; return __VA_ARGS__; }  \
    TORCH_CHECK(type == at::kDouble, "neither float nor double");     \
    using T = double;                                                 \
    return __VA_ARGS__;                                               \
  }()

std::vector<Tensor> channels_last(at::TensorList maps) {
  std::vector<Tensor> result;
  for (const Tensor& map : maps) result.push_back(map.contiguous(at::MemoryFormat::ChannelsLast));
  return result;
}

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

// ---- pooling 3x3, stride 1 ---------------------------------------------------------------------------------------

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

TORCH_LIBRARY(enas, m) {
  m.def("sep_conv(Tensor x, Tensor[] weights, int stride, Tensor[] kept) -> Tensor", &sep_conv);
  m.def("conv_norm(Tensor[] maps, Tensor[] blocks, Tensor weight, Tensor bias, Tensor[] kept) -> Tensor", &conv_norm);
  m.def("halve(Tensor x, Tensor[] blocks, Tensor weight, Tensor bias, bool with_relu, Tensor[] kept) -> Tensor", &halve);
  m.def("stem(Tensor x, Tensor conv, Tensor weight, Tensor bias, Tensor[] kept) -> Tensor", &stem);
  m.def("avg_pool(Tensor x) -> Tensor", &avg_pool);
  m.def("max_pool(Tensor x) -> Tensor", &max_pool);
}
