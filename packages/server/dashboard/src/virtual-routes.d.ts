declare module 'virtual:routes' {
  /** Method, path, kind of answer and permission of each row of the control plane, such as `runs.get`. */
  const routes: Readonly<
    Record<
      string,
      readonly [
        method: string,
        path: string,
        as: 'json' | 'bytes' | 'nothing' | 'messages',
        permission: string,
      ]
    >
  >;
  export default routes;
}
