/** The server's end of a WebSocket, in the words of every runtime. */
export interface ServerSocket {
  /** Does nothing once the socket is closed. */
  send(text: string): void;
  sendBytes(bytes: Uint8Array): void;
  /** Bytes that were sent and that the client has not taken. */
  bufferedBytes(): number;
  /** @param code 1000 to 1015, or 3000 to 4999 @param reason at most 123 bytes */
  close(code: number, reason: string): void;
  /** Without waiting for the client. */
  terminate(): void;
  /** Of the client, without port; undefined when the runtime does not say. */
  readonly remoteAddress: string | undefined;
}

/** What is done with one socket; the methods must not throw. */
export interface SocketHandler {
  /** @param text null: the message was binary, and there is no `onBytes` */
  onMessage(text: string | null): void;
  onBytes?(bytes: Uint8Array): void;
  /** Once, whoever closed it. */
  onClose(): void;
}

/** Takes a socket as soon as it is open. */
export type SocketOpener = (socket: ServerSocket) => SocketHandler;

export interface SocketOffer {
  readonly open: SocketOpener;
  /** Of those that the client proposes. @default none */
  readonly protocol?: string;
}
