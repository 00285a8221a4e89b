// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The emitter of call-threaded code for x86-64 (System V calling convention); see Threaded.h.
//
// The strip keeps the warp in rbx and the first record in r12, which callees preserve. Per record:
//     mov rdi, rbx ; lea rsi, [r12 + offset of the record] ; mov rax, handler ; call rax
// and, unless the handler is known to return the next record (all arithmetic is), a comparison of
// rax with that record: a branch goes straight to its target's call, anything else leaves the
// strip.
#include "Threaded.h"
#include "Launch.h"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace attnc::emu {

#if defined(__x86_64__) && defined(__linux__)

namespace {

class Emitter {
public:
  std::vector<unsigned char> code;
  void bytes(std::initializer_list<unsigned char> list) { code.insert(code.end(), list); }
  void u32(uint32_t v) {
    for (int i = 0; i < 4; ++i)
      code.push_back(static_cast<unsigned char>(v >> (8 * i)));
  }
  void u64(uint64_t v) {
    u32(static_cast<uint32_t>(v));
    u32(static_cast<uint32_t>(v >> 32));
  }
  static uint32_t offsetOf(size_t record) { return static_cast<uint32_t>(record * sizeof(Rec)); }
  void prologue() {
    bytes({0x53, 0x41, 0x54, 0x48, 0x83, 0xec, 0x08}); // push rbx ; push r12 ; sub rsp, 8
    bytes({0x48, 0x89, 0xfb, 0x49, 0x89, 0xf4});       // mov rbx, rdi ; mov r12, rsi
    bytes({0xff, 0xe2});                               // jmp rdx
  }
  void epilogue() {
    bytes({0x48, 0x83, 0xc4, 0x08, 0x41, 0x5c, 0x5b, 0xc3});
  } // add rsp, 8 ; pops ; ret
  void call(size_t record, Handler h) {
    bytes({0x48, 0x89, 0xdf, 0x49, 0x8d, 0xb4, 0x24}); // mov rdi, rbx ; lea rsi, [r12 + disp32]
    u32(offsetOf(record));
    bytes({0x48, 0xb8}); // mov rax, imm64
    u64(reinterpret_cast<uint64_t>(h));
    bytes({0xff, 0xd0}); // call rax
  }
  /// cmp rax, &records[record] ; jcc target (patched later)
  size_t compareAndJump(size_t record, unsigned char condition) {
    bytes({0x49, 0x8d, 0x8c, 0x24}); // lea rcx, [r12 + disp32]
    u32(offsetOf(record));
    bytes({0x48, 0x39, 0xc8, 0x0f, condition}); // cmp rax, rcx ; jcc rel32
    u32(0);
    return code.size() - 4;
  }
  void patch(size_t at, size_t target) {
    uint32_t rel = static_cast<uint32_t>(target - (at + 4));
    memcpy(&code[at], &rel, 4);
  }
};

constexpr unsigned char ifEqual = 0x84, ifNotEqual = 0x85;

} // namespace

std::shared_ptr<ThreadedCode> ThreadedCode::build(const Kernel &kernel) {
  const char *engine = std::getenv("ATTNC_EMU_ENGINE");
  if (engine && !strcmp(engine, "loop"))
    return nullptr;
  std::shared_ptr<ThreadedCode> t(new ThreadedCode());
  Emitter e;
  e.prologue();
  size_t exit = e.code.size();
  e.epilogue();
  std::vector<std::pair<size_t, size_t>> jumps; // place to patch, record
  for (size_t i = 0; i < kernel.recs.size(); ++i) {
    const Rec &r = kernel.recs[i];
    t->entries.push_back(static_cast<uint32_t>(e.code.size()));
    e.call(i, r.fn);
    if (r.straight)
      continue;
    if (r.fn == branch || r.fn == branchIf)
      jumps.push_back({e.compareAndJump(r.aux, ifEqual), r.aux});
    if (r.advance != 1)
      jumps.push_back({e.compareAndJump(i + r.advance, ifEqual), i + r.advance});
    e.patch(e.compareAndJump(i + 1, ifNotEqual), exit);
  }
  e.bytes({0x0f, 0x0b}); // the last record leaves the kernel; never reached
  for (auto [at, record] : jumps)
    e.patch(at, t->entries[record]);
  t->bytes = e.code.size();
  void *p = mmap(nullptr, t->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return nullptr;
  t->code = static_cast<unsigned char *>(p);
  memcpy(p, e.code.data(), t->bytes);
  if (mprotect(p, t->bytes, PROT_READ | PROT_EXEC) != 0)
    return nullptr;
  t->enter = reinterpret_cast<Enter>(p);
  return t;
}

ThreadedCode::~ThreadedCode() {
  if (code)
    munmap(code, bytes);
}

#else

std::shared_ptr<ThreadedCode> ThreadedCode::build(const Kernel &) { return nullptr; }
ThreadedCode::~ThreadedCode() = default;

#endif

} // namespace attnc::emu
