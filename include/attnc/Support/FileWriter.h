// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one way in which files are written: specs that are formatted, compiled code, tensors,
// drawings, cache entries. A reader sees the old file or the new one, whole, whatever happens in
// between.
#ifndef ATTNC_SUPPORT_FILEWRITER_H
#define ATTNC_SUPPORT_FILEWRITER_H

#include "attnc/Support/Failure.h"
#include <string>
#include <string_view>

namespace attnc {

/// Replaces the contents of the file `path` by `bytes`, or leaves it as it is.
///
/// The bytes go to a new file in the same directory, which takes the name when all of it is known
/// to be on disk. Permissions are those of the file that is replaced, or what the umask leaves of
/// 0666. A symbolic link stays, and the file that it names is written. What is no regular file, as
/// a FIFO or a device, and what a descriptor of this process names, as /dev/stdout, is written in
/// place.
///
/// The failure is "cannot write `path`: ..." with the reason.
Failure writeFile(const std::string &path, std::string_view bytes);

/// The same for an entry of a directory that the caller holds open: `name` has no slash, is not
/// followed if it is a link, and gets the permissions 0600. Not forced to disk: a damaged entry
/// must be told by what is in it. The failure is the reason alone.
Failure writePrivateFile(int directory, const std::string &name, std::string_view bytes);

} // namespace attnc

#endif // ATTNC_SUPPORT_FILEWRITER_H
