// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Any bytes as an object that an earlier process has saved, with or without a launch record behind
// it, as a record alone and as a linked image: each is taken or refused with a message, and what is
// linked can be mapped. Nothing of it is run. The entry is that of libFuzzer; the test feeds it
// edits of a good object and its image.
#include "attnc/Pipelines/LaunchRecord.h"
#include "attnc/Target/Host/HostLink.h"

#include <cstdlib>
#ifndef ATTNC_FUZZ
#include "HostHarness.h"
#include "llvm/Object/ELF.h"
#include "gtest/gtest.h"
#endif

using namespace attnc;

/// A message, or the process ends: what is refused says why.
static void expectMessage(const std::string &message) {
  if (message.empty())
    std::abort();
}

static void tryImage(llvm::StringRef bytes, bool mustLoad) {
  Outcome<std::unique_ptr<HostImage>> image =
      HostImage::load(std::string_view(bytes.data(), bytes.size()));
  if (!image) {
    if (mustLoad)
      std::abort();
    expectMessage(image.takeError().message());
    return;
  }
  for (const char *name : {"", "causal", "causal_1_out"})
    (*image)->lookup(name);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string bytes(reinterpret_cast<const char *>(data), size);
  tryImage(bytes, /*mustLoad=*/false);
  if (llvm::Expected<std::string> image = linkHostObject(bytes))
    tryImage(*image, /*mustLoad=*/true);
  else
    expectMessage(llvm::toString(image.takeError()));
  if (llvm::Expected<std::optional<LaunchRecord>> record = takeLaunchRecord(bytes, "")) {
    // What is read is written as text that is read as the same.
    std::string text = *record ? serializeLaunchRecord(**record) : "";
    if (*record && serializeLaunchRecord(llvm::cantFail(parseLaunchRecord(text))) != text)
      std::abort();
  } else {
    expectMessage(llvm::toString(record.takeError()));
  }
  return 0;
}

#ifndef ATTNC_FUZZ
using namespace attnc::testing;

namespace {
std::string objectOf(const std::string &kernel) {
  CompiledHost compiled = compileText(kernel);
  return compiled.object.object ? compiled.object.object->getBuffer().str() : "";
}
} // namespace

TEST(HostCode, SurvivesRandomEdits) {
  const std::string object = objectOf(flashKernel({}));
  ASSERT_FALSE(object.empty());
  const std::string image = llvm::cantFail(linkHostObject(object));
  std::mt19937 random(1);
  // Headers are where the structure is: sections at the end, symbols and references before them.
  for (const std::string &good : {object, image})
    for (int round = 0; round < 4000; ++round) {
      std::string bytes = good;
      for (unsigned edits = 1 + random() % 3; edits-- > 0;) {
        size_t from = random() % 2 ? 0 : bytes.size() - std::min<size_t>(bytes.size(), 2000);
        size_t at = from + random() % (bytes.size() - from);
        switch (random() % 4) {
        case 0:
          bytes.resize(at + 1);
          break;
        case 1: // a number of 8 bytes at an end of its range
          bytes.replace(at, std::min<size_t>(8, bytes.size() - at),
                        std::string(std::min<size_t>(8, bytes.size() - at), random() % 2 ? -1 : 0));
          break;
        default:
          bytes[at] = static_cast<char>(random());
        }
      }
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    }
}

/// An object with one number changed, and what the linker says about it.
static std::string linkingWith(std::string object, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i)
    object[at + i] = static_cast<char>(value >> (8 * i));
  llvm::Expected<std::string> image = linkHostObject(object);
  return image ? "" : llvm::toString(image.takeError());
}

// LLVM's reader of objects ends the process at damaged tables of references, and a place near 2^64
// passed the check of its end, so that bytes were written outside of the code.
TEST(HostCode, DamagedTablesAreErrors) {
  const std::string object = objectOf(flashKernel({}));
  using ELF = llvm::object::ELF64LE;
  auto file = llvm::cantFail(llvm::object::ELFFile<ELF>::create(object));
  int tables = 0;
  for (const ELF::Shdr &section : llvm::cantFail(file.sections())) {
    if (section.sh_type != llvm::ELF::SHT_RELA)
      continue;
    const llvm::ArrayRef<ELF::Shdr> all = llvm::cantFail(file.sections());
    if (llvm::cantFail(file.getSectionName(all[section.sh_info])) == ".eh_frame")
      continue;
    ++tables;
    size_t header = static_cast<size_t>(reinterpret_cast<const char *>(&section) - object.data());
    EXPECT_NE(linkingWith(object, header + offsetof(ELF::Shdr, sh_entsize), 0, 8), "");
    EXPECT_NE(linkingWith(object, header + offsetof(ELF::Shdr, sh_link), 0xffff, 4), "");
    EXPECT_NE(linkingWith(object, header + offsetof(ELF::Shdr, sh_size), UINT64_MAX, 8), "");
    EXPECT_NE(linkingWith(object, header + offsetof(ELF::Shdr, sh_type), llvm::ELF::SHT_REL, 4),
              "");
    for (uint64_t place : {UINT64_MAX, UINT64_MAX - 2, uint64_t(1) << 40})
      EXPECT_EQ(linkingWith(object, section.sh_offset, place, 8),
                "host code has a reference to nothing")
          << place;
    EXPECT_EQ(linkingWith(object, section.sh_offset + 12, 0xffffffff, 4),
              "host code has a reference to nothing");
    EXPECT_EQ(linkingWith(object, section.sh_offset + 16, INT64_MAX, 8),
              "host code is larger than 2 GiB");
  }
  EXPECT_GT(tables, 0);
}
#endif
