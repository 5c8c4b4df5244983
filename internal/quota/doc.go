// Package quota counts what each key uses within an hour, so that its owner can refuse what exceeds
// a limit (promises.md FT22). It promises exact numbers and bounded memory. It leaves to others who
// is counted, and what a refusal says.
package quota
