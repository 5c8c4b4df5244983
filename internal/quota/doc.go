// Package quota counts what somebody used within an hour, so that it can be
// refused beyond a limit (promises.md FT22). It promises exact numbers and
// bounded memory. It leaves to others who is counted, and what a refusal says.
package quota
