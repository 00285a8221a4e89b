// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Grids of spellings, offered to the decoder and to ptxas. A family of instructions has a list of
// forms that its tests execute; the grid around that list says that the decoder accepts those and
// no others, and that ptxas, where it is installed, has the same opinion.
#pragma once

#include "EmulatorTest.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <unistd.h>

namespace attnc::emu::test {

/// Which of `instructions` ptxas assembles, one kernel each; empty where there is no ptxas.
/// `header` has three lines.
inline std::vector<bool> assembled(const std::string &header, const std::string &declarations,
                                   const std::string &target,
                                   const std::vector<std::string> &instructions) {
  if (std::system("ptxas --version >/dev/null 2>&1") != 0)
    return {};
  std::string path = ::testing::TempDir() + "attnc_emu_grid_" + std::to_string(getpid());
  {
    std::ofstream out(path + ".ptx");
    out << header;
    for (size_t i = 0; i < instructions.size(); ++i)
      out << ".visible .entry k" << i << "() { " << declarations << " " << instructions[i]
          << " ret; }\n";
  }
  std::vector<bool> ok(instructions.size(), true);
  std::string command =
      "ptxas -O0 -arch=" + target + " -o /dev/null " + path + ".ptx >" + path + ".log 2>&1";
  bool refused = std::system(command.c_str()) != 0, named = false;
  std::ifstream log(path + ".log");
  for (std::string line; std::getline(log, line);) {
    // A syntax error ends the whole run; what comes after it would count as accepted.
    EXPECT_EQ(line.find("Parsing error"), line.npos) << line;
    if (size_t at = line.find(", line "); at != line.npos && line.find("error") != line.npos)
      ok.at(std::stoul(line.substr(at + 7)) - 4) = false, named = true;
  }
  EXPECT_EQ(refused, named) << "ptxas failed without naming an instruction";
  remove((path + ".ptx").c_str());
  remove((path + ".log").c_str());
  return ok;
}

/// Every combination of one string of each list, concatenated.
inline std::vector<std::string> combinations(const std::vector<std::vector<std::string>> &lists) {
  std::vector<std::string> all = {""};
  for (const auto &list : lists) {
    std::vector<std::string> longer;
    for (const std::string &s : all)
      for (const std::string &t : list)
        longer.push_back(s + t);
    all = std::move(longer);
  }
  return all;
}

class FormGrid : public EmulatorTest {
protected:
  explicit FormGrid(const char *target = "sm_90a") : EmulatorTest(target) {}

  bool accepts(const std::string &instruction) {
    try {
      machine.load(header() + ".visible .entry k() { " + declarations + " " + instruction +
                   " ret; }\n");
      return true;
    } catch (const PtxError &) {
      return false;
    }
  }
  /// `tested` must be the instructions of `grid` that the decoder accepts. ptxas must accept the
  /// same, and those in `notYet`, which the decoder refuses.
  void expectExactly(const std::vector<std::string> &grid, const std::set<std::string> &tested,
                     const std::set<std::string> &notYet = {}) {
    std::set<std::string> all(grid.begin(), grid.end());
    for (const std::string &form : tested)
      EXPECT_TRUE(all.count(form)) << form << " is tested, but not in the grid";
    std::vector<std::string> list(all.begin(), all.end());
    std::vector<bool> real = assembled(header(), declarations, machine.profile().name, list);
    for (size_t i = 0; i < list.size(); ++i) {
      bool accepted = accepts(list[i]);
      EXPECT_EQ(accepted, bool(tested.count(list[i])))
          << list[i] << (accepted ? " is accepted, but has no test" : " is tested, but refused");
      if (!real.empty()) {
        EXPECT_EQ(real[i], accepted || notYet.count(list[i])) << list[i] << " and ptxas disagree";
      }
    }
  }
  std::string header() const {
    return ".version 9.0\n.target " + machine.profile().name + "\n.address_size 64\n";
  }
  std::string declarations =
      ".reg .b16 %h<40>; .reg .b32 %r<40>; .reg .b64 %d<40>; .reg .b128 %q<16>; .reg .pred %p<8>;";
};

} // namespace attnc::emu::test
