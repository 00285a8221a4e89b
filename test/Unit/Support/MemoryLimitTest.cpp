// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The estimate of the memory that is left, and what it says.
#include "attnc/Support/MemoryLimit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace attnc;

TEST(MemoryLimit, SaysWhatIsNeededAndWhatIsLeft) {
  EXPECT_EQ(checkMemory("a tensor", 1e6L).message(), "");
  std::string message = checkMemory("a tensor", 1e21L).message();
  EXPECT_EQ(message.find("a tensor needs 1000.0 EB, but "), 0u) << message;
  EXPECT_NE(message.find(" of memory are left"), std::string::npos);
}

TEST(MemoryLimit, SizesDoNotOverflow) {
  EXPECT_EQ(bytesOf({2, 3}, 4), 24);
  EXPECT_EQ(bytesOf({INT64_MAX, 0}, 4), 0);
  EXPECT_GT(bytesOf({INT64_MAX, INT64_MAX, INT64_MAX}, 8), 1e50L);
  EXPECT_EQ(bytesText(999), "999 B");
  EXPECT_EQ(bytesText(12.8e9L), "12.8 GB");
}

TEST(MemoryLimit, SeesTheLimitOfTheAddressSpace) {
  pid_t child = fork();
  if (child == 0) {
    rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = rlim_t(1) << 50; // far more than any machine has
    uint64_t wide = setrlimit(RLIMIT_AS, &limit) == 0 ? availableMemory() : 0;
    limit.rlim_cur = 1 << 20; // less than is in use
    setrlimit(RLIMIT_AS, &limit);
    _exit(wide > 0 && wide < uint64_t(1) << 50 && availableMemory() == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
