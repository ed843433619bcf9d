import { AppError } from "../../shared/core/errors.ts";
import type { User } from "../../shared/entities/user.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { UserWork } from "../../shared/store/user-store.ts";

/** Users that this edge made: nobody else hears of them. Those of the cloud are changed there. */
export function createLocalUserWork(unitOfWork: UnitOfWork): UserWork {
  return {
    change: (work) =>
      unitOfWork.run(async (tx) => {
        const user = await work(tx);
        refuseCopy(user);
        return { result: user, changes: [] };
      }),
    remove: (user, work) =>
      unitOfWork.run(async (tx) => {
        refuseCopy(user);
        return { result: await work(tx), changes: [] };
      }),
  };
}

function refuseCopy({ isCopy }: User): void {
  if (isCopy) throw new AppError("INVALID_ARGUMENT", "This user comes from the cloud; change it there");
}
