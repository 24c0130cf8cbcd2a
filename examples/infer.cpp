// Answer one clip with ONNX Runtime's C++ API: infer model.onnx clip.f32 M T V [tokens]
//
// clip.f32 holds M * T * V * 3 little-endian floats, (M, T, V, 3), prepared as docs/graph-contract.md says, NaN where a
// joint is absent. `tokens` is the budget of a model that takes one; by default all are looked at.
// Build: g++ -std=c++17 infer.cpp -I ORT/include -L ORT/lib -lonnxruntime -o infer
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc < 6) return std::fprintf(stderr, "usage: infer model.onnx clip.f32 M T V [tokens]\n"), 2;
  const std::int64_t M = std::atoll(argv[3]), T = std::atoll(argv[4]), V = std::atoll(argv[5]);

  // Zeros and false where a joint is absent. std::vector<bool> has no addresses, hence the array.
  const std::size_t joints = M * T * V;
  std::vector<float> clip(joints * 3);
  std::unique_ptr<bool[]> present(new bool[joints]);
  std::ifstream file(argv[2], std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(clip.data()), clip.size() * sizeof(float)))
    return std::fprintf(stderr, "%s: expected %zu floats\n", argv[2], clip.size()), 4;
  for (std::size_t j = 0; j < joints; ++j) {
    present[j] = std::isfinite(clip[3 * j]) && std::isfinite(clip[3 * j + 1]) && std::isfinite(clip[3 * j + 2]);
    if (!present[j]) clip[3 * j] = clip[3 * j + 1] = clip[3 * j + 2] = 0.0f;
  }

  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "amr-edge");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  Ort::Session session(env, argv[1], options);
  Ort::AllocatorWithDefaultOptions allocator;

  // What the model is and how it must be fed, as JSON.
  auto card = session.GetModelMetadata().LookupCustomMetadataMapAllocated("amr_edge.card", allocator);
  if (!card) return std::fprintf(stderr, "%s: carries no card\n", argv[1]), 4;

  const std::array<std::int64_t, 5> clip_shape{1, M, T, V, 3};
  const std::array<std::int64_t, 4> present_shape{1, M, T, V};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<const char*> names{"clip", "present"};
  std::vector<Ort::Value> inputs;
  inputs.push_back(Ort::Value::CreateTensor<float>(memory, clip.data(), clip.size(), clip_shape.data(), 5));
  inputs.push_back(Ort::Value::CreateTensor<bool>(memory, present.get(), joints, present_shape.data(), 4));

  // A file whose budget is free asks which ranks to look at: 0 to K - 1.
  const std::string json = card.get(), key = "\"patch_frames\": ";
  const std::size_t at = json.find(key);
  const std::int64_t patch = at == std::string::npos ? 0 : std::atoll(json.c_str() + at + key.size());
  if (patch < 1) return std::fprintf(stderr, "%s: the card names no patch_frames\n", argv[1]), 4;
  const std::int64_t all = T / patch * V;
  std::vector<std::int64_t> ranks(argc > 6 ? std::atoll(argv[6]) : all);
  std::iota(ranks.begin(), ranks.end(), 0);
  const std::array<std::int64_t, 1> ranks_shape{static_cast<std::int64_t>(ranks.size())};
  if (session.GetInputCount() == 3) {
    names.push_back("ranks");
    inputs.push_back(Ort::Value::CreateTensor<std::int64_t>(memory, ranks.data(), ranks.size(), ranks_shape.data(), 1));
  }

  const char* wanted[] = {"probs"};
  auto outputs = session.Run(Ort::RunOptions{nullptr}, names.data(), inputs.data(), inputs.size(), wanted, 1);
  const auto K = outputs[0].GetTensorTypeAndShapeInfo().GetShape()[1];
  for (std::int64_t k = 0; k < K; ++k) std::printf("%.9f\n", outputs[0].GetTensorData<float>()[k]);
  return 0;
} catch (const Ort::Exception& refused) {
  return std::fprintf(stderr, "ONNX Runtime: %s\n", refused.what()), 4;
}
