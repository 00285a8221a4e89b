// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The reader of JSON, and the hash of code files.
#include "attnc/Support/Json.h"
#include "attnc/Support/Format.h"
#include "attnc/Support/Sha256.h"
#include <gtest/gtest.h>

using namespace attnc;

static std::string problemOf(std::string_view text) {
  auto value = json::parse(text, 4);
  return value ? "" : value.takeError().message();
}

TEST(Json, ReadsWhatThereIs) {
  auto value =
      json::parse(R"( {"a": [1, -2, 3.5, 1e3], "b": {"c": true, "d": null}, "e": "x"} )", 4);
  ASSERT_TRUE(bool(value));
  const json::Object *object = value->getAsObject();
  ASSERT_TRUE(object);
  const json::Array *numbers = object->getArray("a");
  ASSERT_TRUE(numbers && numbers->size() == 4);
  EXPECT_EQ((*numbers)[1].getAsInteger(), -2);
  EXPECT_FALSE((*numbers)[2].getAsInteger());
  EXPECT_FALSE((*numbers)[3].getAsInteger());
  EXPECT_EQ(object->get("b")->getAsObject()->getBoolean("c"), true);
  EXPECT_EQ(object->getString("e"), "x");
  EXPECT_FALSE(object->getString("a"));
  EXPECT_EQ(object->get("absent"), nullptr);
  EXPECT_EQ(json::parse("9223372036854775807", 1)->getAsInteger(), INT64_MAX);
  EXPECT_FALSE(json::parse("9223372036854775808", 1)->getAsInteger());
}

TEST(Json, Strings) {
  auto text = [](std::string_view json) {
    auto value = json::parse(json, 1);
    return value ? std::string(value->getAsString().value_or("no string"))
                 : value.takeError().message();
  };
  EXPECT_EQ(text(R"("a\n\"\\\/\u00e9\ud83d\ude00")"), "a\n\"\\/\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(text("\"\xe2\x82\xac\""), "\xe2\x82\xac");
  for (const char *bad : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
                          "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\xc3"})
    EXPECT_NE(text(bad).find("not UTF-8"), std::string::npos) << text(bad);
  EXPECT_NE(text(R"("\ud83d")").find("half a surrogate pair"), std::string::npos);
  EXPECT_NE(text(R"("\ude00")").find("half a surrogate pair"), std::string::npos);
}

TEST(Json, SaysWhatIsWrong) {
  EXPECT_EQ(problemOf("[[[[1]]]]"), "");
  EXPECT_EQ(problemOf("[[[[[1]]]]]"), "malformed JSON at byte 5: values nest too deep");
  EXPECT_EQ(problemOf("[1 2]"), "malformed JSON at byte 3: expected `,` or `]`");
  EXPECT_EQ(problemOf(R"({"a": 1, "a": 2})"),
            "malformed JSON at byte 12: a name that occurs twice");
  for (const char *bad :
       {"", "{", "[", "[1,]", R"({"a" 1})", R"({"a": 1,})", "01", "-", "1.", "1e", "nul", "1 1",
        "\"", "\"\n\"", R"("\x")", R"("\u12g4")", "{1: 2}", "1e999"})
    EXPECT_NE(problemOf(bad), "") << bad;
}

TEST(Sha256, KnownValues) {
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Format, PutsValuesInTheirPlaces) {
  EXPECT_EQ(formatText("{1} of {0}, {x} {2} {}", 3, std::string("two")), "two of 3, {x} {2} {}");
}
