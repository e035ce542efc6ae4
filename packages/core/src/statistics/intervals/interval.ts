/** A range of values that the evidence leaves possible, both ends included. Plain JSON. */
export type Interval = { readonly low: number; readonly high: number };
