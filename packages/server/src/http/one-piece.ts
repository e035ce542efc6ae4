/** Bytes that are at hand already, as a body that comes in one piece. */
export async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
