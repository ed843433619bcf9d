import { createServer, type Socket } from "node:net";

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and text, as they came. */
  readonly content: string;
  /** What AUTH PLAIN said, decoded; null: nobody signed in. */
  readonly auth: string | null;
}

export interface SmtpServer extends AsyncDisposable {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** Answers the next message with this instead of taking it. */
  refuseNext(answer: string): void;
}

/** Speaks as much of SMTP as a client needs, in plain text, on a free port of loopback. */
export async function startSmtpServer(): Promise<SmtpServer> {
  const mails: ReceivedMail[] = [];
  const refusals: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serveClient(socket, (mail) => {
      const refusal = refusals.shift();
      if (refusal === undefined) mails.push(mail);
      return refusal ?? "250 Taken";
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The SMTP server has no port");
  return {
    port: address.port,
    mails,
    refuseNext: (answer) => void refusals.push(answer),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serveClient(socket: Socket, take: (mail: ReceivedMail) => string): void {
  let buffer = "";
  let content: string[] | null = null;
  let auth: string | null = null;
  let envelope = { from: "", to: [] as string[] };
  const answer = (...lines: readonly string[]): void => void socket.write(lines.map((line) => `${line}\r\n`).join(""));
  const handle = (line: string): void => {
    if (content !== null) {
      if (line !== ".") return void content.push(line);
      answer(take({ ...envelope, content: content.join("\n"), auth }));
      content = null;
      envelope = { from: "", to: [] };
      return;
    }
    const [verb = ""] = line.toUpperCase().split(" ", 1);
    switch (verb) {
      case "EHLO":
        return answer("250-test", "250 AUTH PLAIN");
      case "AUTH":
        auth = Buffer.from(line.split(" ")[2] ?? "", "base64")
          .toString()
          .replaceAll("\0", " ")
          .trim();
        return answer("235 Welcome");
      case "MAIL":
        envelope.from = addressIn(line);
        return answer("250 Fine");
      case "RCPT":
        envelope.to.push(addressIn(line));
        return answer("250 Fine");
      case "DATA":
        content = [];
        return answer("354 Go on");
      case "QUIT":
        answer("221 Bye");
        return void socket.end();
      default:
        return answer("250 Fine");
    }
  };
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    buffer += chunk.toString("utf8");
    const lines = buffer.split("\r\n");
    buffer = lines.pop() ?? "";
    for (const line of lines) handle(line);
  });
  answer("220 test");
}

function addressIn(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? "";
}
