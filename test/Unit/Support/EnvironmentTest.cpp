// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registry of environment variables: reading through it, and names that it does not have.
#include "attnc/Support/Environment.h"
#include "gtest/gtest.h"
#include <cstdlib>

using namespace attnc;

namespace {

std::vector<std::string> unknownIn(std::vector<const char *> environment) {
  environment.push_back(nullptr);
  return unknownVariables(environment.data());
}

TEST(Environment, ReadsWhatIsSet) {
  ASSERT_EQ(setenv("ATTNC_SPECS", "here", 1), 0);
  EXPECT_STREQ(readVariable(Variable::Specs), "here");
  ASSERT_EQ(unsetenv("ATTNC_SPECS"), 0);
  EXPECT_EQ(readVariable(Variable::Specs), nullptr);
}

TEST(Environment, KnowsEachNameOfTheRegistry) {
  for (const VariableInfo &variable : allVariables()) {
    std::string text = std::string(variable.name) + "=1";
    EXPECT_TRUE(unknownIn({text.c_str()}).empty()) << variable.name;
  }
}

TEST(Environment, LeavesOtherPeoplesVariablesAlone) {
  EXPECT_TRUE(unknownIn({"HOME=/root", "ATTN=1", "MY_ATTNC_CACHE=1", "", "BASH_FUNC_x"}).empty());
}

TEST(Environment, SuggestsTheNearestName) {
  auto lines = unknownIn({"ATTNC_CACHEDIR=x", "HOME=/root", "ATTNC_EMU_DELIVER=late"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], "nothing reads the environment variable `ATTNC_CACHEDIR`: did you mean "
                      "`ATTNC_CACHE_DIR`?");
  EXPECT_NE(lines[1].find("`ATTNC_EMU_DELIVERY`"), std::string::npos);
}

TEST(Environment, SaysWhereTheNamesAre) {
  auto lines = unknownIn({"ATTNC_SOMETHING_ELSE=1"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("`attnc --help`"), std::string::npos);
}

} // namespace
