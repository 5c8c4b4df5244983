// Package intervals is the projection that reports by service begin with: for each service and quarter
// of an hour, how many conversations came, were taken up, answered, ended and abandoned, how long
// customers waited, and who wrote how many messages. Beside it is a row for each conversation with what
// the counts need to be kept, which also answers how one conversation went.
//
// It promises that an event counts in the quarter of an hour in which it was logged, in UTC, and under the
// service that the conversation had then; and that its tables hold ids, counts and times only. It
// leaves to core/project to apply each event once, and to reports what is made of the counts.
package intervals
