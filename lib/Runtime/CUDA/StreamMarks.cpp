// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// CUDA events in a row.
#include "StreamMarks.h"
#include "DriverApi.h"

using namespace attnc;
using namespace attnc::cuda;

StreamMarks::~StreamMarks() {
  for (void *event : events)
    device->impl().api.cuEventDestroy_v2(event);
}

Failure StreamMarks::add(Stream stream) {
  Device::Impl &d = device->impl();
  void *event = nullptr;
  if (Failure error = d.check(d.api.cuEventCreate(&event, 0), "cuEventCreate"))
    return error;
  events.push_back(event);
  return d.check(d.api.cuEventRecord(event, stream), "cuEventRecord");
}

Outcome<std::vector<double>> StreamMarks::milliseconds() const {
  std::vector<double> times;
  if (events.empty())
    return times;
  Device::Impl &d = device->impl();
  if (Failure error = d.check(d.api.cuEventSynchronize(events.back()), "cuEventSynchronize"))
    return error;
  for (size_t i = 1; i < events.size(); ++i) {
    float elapsed = 0;
    if (Failure error = d.check(d.api.cuEventElapsedTime(&elapsed, events[i - 1], events[i]),
                                "cuEventElapsedTime"))
      return error;
    times.push_back(elapsed);
  }
  return times;
}
