// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The file writer: what it replaces, what it leaves, and that nothing between is ever seen.
#include "attnc/Support/FileWriter.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sched.h>
#include <sstream>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace attnc;
namespace fs = std::filesystem;

namespace {
class FileWriter : public testing::Test {
protected:
  void SetUp() override {
    char name[] = "/tmp/attnc-writer-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string path(const char *name) const { return (folder / name).string(); }
  static std::string contents(const std::string &file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  static mode_t modeOf(const std::string &file) {
    struct stat status;
    return ::stat(file.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }
  size_t filesInFolder() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
  }
  /// Runs `body` in a process of its own; its result is the exit status.
  template <typename Body> static int inChild(Body body) {
    pid_t child = fork();
    if (child == 0)
      _exit(body());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  fs::path folder;
};

TEST_F(FileWriter, NewFilesHaveWhatTheUmaskLeaves) {
  mode_t old = umask(027);
  EXPECT_EQ(writeFile(path("a"), "text").message(), "");
  umask(0);
  EXPECT_EQ(writeFile(path("b"), std::string("\0\xff", 2)).message(), "");
  umask(old);
  EXPECT_EQ(contents(path("a")), "text");
  EXPECT_EQ(modeOf(path("a")), 0640u);
  EXPECT_EQ(contents(path("b")), std::string("\0\xff", 2));
  EXPECT_EQ(modeOf(path("b")), 0666u);
  EXPECT_EQ(filesInFolder(), 2u);
}

TEST_F(FileWriter, ReplacedFilesKeepTheirMode) {
  for (mode_t mode : {0600u, 0755u, 0664u, 0640u}) {
    ASSERT_EQ(writeFile(path("a"), "old").message(), "");
    chmod(path("a").c_str(), mode);
    EXPECT_EQ(writeFile(path("a"), "new").message(), "");
    EXPECT_EQ(contents(path("a")), "new");
    EXPECT_EQ(modeOf(path("a")), mode);
  }
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path("a").c_str(), 12, 34), 0);
    EXPECT_EQ(writeFile(path("a"), "newer").message(), "");
    struct stat status;
    ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 12u);
    EXPECT_EQ(status.st_gid, 34u);
  }
}

TEST_F(FileWriter, LinksStayAndLeadToTheFile) {
  fs::create_directory(folder / "deep");
  std::ofstream(path("deep/file")) << "old";
  fs::create_symlink("deep/file", folder / "one");
  fs::create_symlink(folder / "one", folder / "two");
  EXPECT_EQ(writeFile(path("two"), "new").message(), "");
  EXPECT_TRUE(fs::is_symlink(folder / "one") && fs::is_symlink(folder / "two"));
  EXPECT_EQ(contents(path("deep/file")), "new");
  // One that leads to nothing yet.
  fs::create_symlink("deep/other", folder / "dangling");
  EXPECT_EQ(writeFile(path("dangling"), "made").message(), "");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(contents(path("deep/other")), "made");
  fs::create_symlink("circle", folder / "circle");
  EXPECT_EQ(writeFile(path("circle"), "x").message(),
            "cannot write `" + path("circle") + "`: Too many levels of symbolic links");
}

TEST_F(FileWriter, SpecialFilesAreWrittenInPlace) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = contents(path("fifo")); });
  EXPECT_EQ(writeFile(path("fifo"), std::string(100000, 'x')).message(), "");
  reader.join();
  EXPECT_EQ(got, std::string(100000, 'x'));
  EXPECT_TRUE(fs::is_fifo(folder / "fifo"));
  EXPECT_EQ(writeFile("/dev/null", "x").message(), "");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(writeFile("/dev/full", "x").message(),
            "cannot write `/dev/full`: No space left on device");
  fs::create_symlink("/dev/full", folder / "full");
  EXPECT_EQ(writeFile(path("full"), "x").message(),
            "cannot write `" + path("full") + "`: No space left on device");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(FileWriter, StandardOutputIsItsDescriptor) {
  for (const char *name : {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    int status = inChild([&] {
      int file = ::open(path("out").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
      if (dup2(file, 1) != 1 || ::write(1, "before ", 7) != 7 || writeFile(name, "text"))
        return 1;
      return ::write(1, " after", 6) == 6 ? 0 : 2;
    });
    EXPECT_EQ(status, 0) << name;
    EXPECT_EQ(contents(path("out")), "before text after") << name;
  }
}

TEST_F(FileWriter, ReasonsOfTheSystem) {
  EXPECT_EQ(writeFile(path(""), "x").message(), "cannot write `" + path("") + "`: Is a directory");
  EXPECT_EQ(writeFile(folder.string(), "x").message(),
            "cannot write `" + folder.string() + "`: Is a directory");
  EXPECT_EQ(writeFile(path("no/file"), "x").message(),
            "cannot write `" + path("no/file") + "`: No such file or directory");
  EXPECT_EQ(writeFile("", "x").message(), "cannot write ``: No such file or directory");
  std::ofstream(path("file")) << "old";
  EXPECT_EQ(writeFile(path("file/below"), "x").message(),
            "cannot write `" + path("file/below") + "`: Not a directory");
}

TEST_F(FileWriter, ProtectedFilesAndDirectoriesAreLeft) {
  std::ofstream(path("file")) << "old";
  std::ofstream(path("locked")) << "old";
  chmod(path("file").c_str(), 0666);
  chmod(path("locked").c_str(), 0444);
  auto asNobody = [&](const char *name, const char *reason) {
    return inChild([&] {
      if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0))
        return 1;
      return writeFile(path(name), "new").message() ==
                     "cannot write `" + path(name) + "`: " + reason
                 ? 0
                 : 2;
    });
  };
  chmod(folder.c_str(), 0777);
  EXPECT_EQ(asNobody("locked", "Permission denied"), 0);
  chmod(folder.c_str(), 0555);
  EXPECT_EQ(asNobody("file", "cannot create a file beside it: Permission denied"), 0);
  EXPECT_EQ(asNobody("another", "cannot create a file beside it: Permission denied"), 0);
  chmod(folder.c_str(), 0700);
  EXPECT_EQ(contents(path("file")) + contents(path("locked")), "oldold");
  EXPECT_EQ(filesInFolder(), 2u);
}

TEST_F(FileWriter, FileSizeLimitLeavesTheOldFile) {
  std::ofstream(path("file")) << "old";
  int status = inChild([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    return writeFile(path("file"), std::string(5000, 'x')).message() ==
                   "cannot write `" + path("file") + "`: File too large"
               ? 0
               : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(contents(path("file")), "old");
  EXPECT_EQ(filesInFolder(), 1u);
}

TEST_F(FileWriter, FullDiskLeavesTheOldFile) {
  // In a mount namespace of its own, so that nothing of it stays.
  int status = inChild([&] {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0)
      return 77;
    if (writeFile(path("file"), "old"))
      return 1;
    if (writeFile(path("file"), std::string(200000, 'x')).message() !=
        "cannot write `" + path("file") + "`: No space left on device")
      return 2;
    return contents(path("file")) == "old" && filesInFolder() == 1 ? 0 : 3;
  });
  if (status == 77)
    GTEST_SKIP() << "a file system cannot be mounted here";
  EXPECT_EQ(status, 0);
}

TEST_F(FileWriter, KilledWhileWritingLeavesAWholeFile) {
  // Contents of one letter each, of the same large size.
  constexpr size_t size = 4 << 20;
  ASSERT_EQ(writeFile(path("file"), std::string(size, 'a')).message(), "");
  for (int round = 0; round < 20; ++round) {
    pid_t child = fork();
    if (child == 0) {
      for (char letter = 'b';; letter = letter == 'z' ? 'b' : static_cast<char>(letter + 1))
        if (writeFile(path("file"), std::string(size, letter)))
          _exit(1);
    }
    usleep(1000 + 1700 * static_cast<unsigned>(round));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    std::string found = contents(path("file"));
    ASSERT_EQ(found.size(), size);
    ASSERT_EQ(found.find_first_not_of(found[0]), std::string::npos);
  }
  // Not even a temporary file, but for one that was killed between its two names.
  EXPECT_LE(filesInFolder(), 3u);
}

TEST_F(FileWriter, WritersAtOnceLeaveTheFileOfOne) {
  std::vector<std::thread> writers;
  for (char letter : {'a', 'b', 'c', 'd'})
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 20; ++i)
        EXPECT_EQ(writeFile(path("file"), std::string(50000, letter)).message(), "");
    });
  for (std::thread &writer : writers)
    writer.join();
  std::string found = contents(path("file"));
  EXPECT_EQ(found, std::string(50000, found[0]));
  EXPECT_EQ(filesInFolder(), 1u);
}

TEST_F(FileWriter, PrivateFilesAreForTheirOwner) {
  std::ofstream(path("victim")) << "kept";
  fs::create_symlink("victim", folder / "entry");
  int directory = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
  mode_t old = umask(0);
  EXPECT_EQ(writePrivateFile(directory, "entry", "text").message(), "");
  umask(old);
  ::close(directory);
  EXPECT_FALSE(fs::is_symlink(folder / "entry"));
  EXPECT_EQ(modeOf(path("entry")), 0600u);
  EXPECT_EQ(contents(path("entry")) + contents(path("victim")), "textkept");
}
} // namespace
